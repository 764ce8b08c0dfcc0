"""The two parts of the control plane of which one instance leads, and the Leases by which they agree."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from typing import Any

from provision.cluster.health import KUBE_SYSTEM
from provision.cluster.kubectl import Kubectl
from provision.engine.waiting import Clock, poll_until
from provision.errors import ToolFailed

LEASES = "leases.coordination.k8s.io"
NODE_LEASES = "kube-node-lease"
# Name of the Lease -> name of the process, of which Linux keeps fifteen letters.
LEADERS = {"kube-controller-manager": "kube-controller", "kube-scheduler": "kube-scheduler"}
# A leader renews its Lease every two seconds.
SILENT_SECONDS = 30.0


def wait_for_leaders(kubectl: Kubectl, node: str, *, deadline: float, clock: Clock) -> None:
    """Wait until both lead, without waiting out the Lease of an instance that is gone.

    `node` is the control plane they run on; `deadline` is seconds.

    The controller manager ends when the API server is not healthy ten seconds after it was elected, as on
    a busy host while the first roles are made; the next one would wait for as long as a Lease lasts.
    Raises WaitTimeout.
    """

    def lead() -> bool:
        ages = _ages(kubectl, node)
        silent = [name for name, age in ages.items() if age > SILENT_SECONDS]
        free_leases(kubectl, silent)
        return not silent and set(ages) == set(LEADERS)

    poll_until(
        lead,
        what="a leader of the controller managers and of the schedulers",
        deadline=deadline,
        clock=clock,
        errors=ToolFailed,
        hint="kubelab kubectl -- -n kube-system get leases,pods",
    )


def free_leases(kubectl: Kubectl, leaders: Collection[str]) -> None:
    """Delete Leases of leaders: a holder that lives writes its own again, and a new one need not wait."""
    if leaders:
        kubectl("delete", LEASES, f"--namespace={KUBE_SYSTEM}", "--ignore-not-found", *leaders)


def free_dead_leases(kubectl: Kubectl, since: float) -> None:
    """Delete the Leases of leaders that were renewed last before `since`, in seconds since the epoch.

    It is for leaders whose machine was off at that time. A new instance waits for as long as a Lease lasts
    from when it first sees it, however old it is. Raises ToolFailed.
    """
    dead = [
        item["metadata"]["name"]
        for item in kubectl.items(LEASES, f"--namespace={KUBE_SYSTEM}")
        if item["metadata"]["name"] in LEADERS and renewed(item) < since
    ]
    free_leases(kubectl, dead)


def renewed(lease: Mapping[str, Any]) -> float:
    """Return when a Lease was renewed, in seconds since the epoch; 0 for never."""
    text = lease.get("spec", {}).get("renewTime")
    return dt.datetime.fromisoformat(text).timestamp() if text else 0.0


def _ages(kubectl: Kubectl, node: str) -> dict[str, float]:
    """Return leader -> seconds from its last sign of life to the last of its node, where it has a Lease.

    Both are told by the node's own clock, which need not be the host's.
    """
    times = {
        (item["metadata"]["namespace"], item["metadata"]["name"]): renewed(item)
        for item in kubectl.items(LEASES, "--all-namespaces")
    }
    leaders = {name: times[KUBE_SYSTEM, name] for name in LEADERS if (KUBE_SYSTEM, name) in times}
    latest = max([times.get((NODE_LEASES, node), 0.0), *leaders.values()])
    return {name: latest - time for name, time in leaders.items()}
