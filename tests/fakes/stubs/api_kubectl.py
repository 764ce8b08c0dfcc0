"""A `kubectl` of a cluster whose nodes are the guests of the stub of vagrant: what they did is what it shows.

The API server answers while the control plane's machine runs and kubeadm came to its end there.
"""

from __future__ import annotations

import datetime as dt
import json
import marshal
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

LEADERS = ("kube-controller-manager", "kube-scheduler")
# As kubeadm gives it to a control plane.
TAINTS = [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]
ADDRESSES = {"cp1": "192.168.60.11", "w1": "192.168.60.21"}


def guests(folder: str) -> dict[str, dict[str, Any]]:
    """Return what was done on each machine that runs."""
    with open(os.path.join(folder, "state"), "rb") as file:
        domains = marshal.load(file)["domains"]
    found = {}
    for name in sorted(os.listdir(os.path.join(folder, "guests"))):
        if domains.get(name, {}).get("state") == "running":
            with open(os.path.join(folder, "guests", name)) as file:
                found[name] = json.load(file)
    return found


def now(folder: str) -> dt.datetime:
    """Return the time in the cluster, whose clocks are set from the host's."""
    try:
        with open(os.path.join(folder, "wall")) as file:
            ahead = float(file.read())
    except FileNotFoundError:
        ahead = 0.0
    return dt.datetime.now(dt.UTC) + dt.timedelta(seconds=ahead)


def nodes(members: list[str]) -> Iterator[dict[str, Any]]:
    for name in members:
        place = name.rpartition("-")[2]
        address = ADDRESSES[place]
        yield {
            "kind": "Node",
            "metadata": {"name": name},
            "spec": {"taints": TAINTS if place == "cp1" else []},
            "status": {
                "conditions": [{"type": "Ready", "status": "True"}],
                "addresses": [{"type": "InternalIP", "address": address}],
            },
        }


def leases(members: list[str], time: str) -> Iterator[dict[str, Any]]:
    pairs = [("kube-node-lease", name) for name in members] + [("kube-system", name) for name in LEADERS]
    for namespace, name in pairs:
        metadata = {"namespace": namespace, "name": name}
        yield {"kind": "Lease", "metadata": metadata, "spec": {"renewTime": time}}


def answer(folder: str, words: list[str]) -> int:
    found = guests(folder)
    members = [name for name, guest in found.items() if guest["kubeadm"] == "finished"]
    if not any(name.endswith("-cp1") for name in members):
        print("The connection to the server was refused - did you specify the right host?", file=sys.stderr)
        return 1
    if words[0] == "get" and "json" in words:
        kinds = words[1]
        items = list(nodes(members)) if "nodes" in kinds else []
        if "leases" in kinds:
            items += leases(members, now(folder).isoformat())
        print(json.dumps({"items": items}))
    return 0


def main(folder: str) -> int:
    import trap

    # The first two say which cluster, and how long at most.
    words = sys.argv[3:]
    return trap.run(folder, "kubectl", " ".join(words), lambda: answer(folder, words))
