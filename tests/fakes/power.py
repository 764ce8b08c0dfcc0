"""A lab whose provider, machines and snapshots know of the same machines, so that it can be stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from provision.providers.base import PAUSED, RUNNING
from tests.fakes.lab import Lab
from tests.fakes.node.runner import OK
from tests.fakes.providers.ids import id_of
from tests.fakes.snapshots import running_lab


def stoppable_lab(root: Path, **keys: Any) -> Lab:
    """Return a healthy lab of three nodes; `lab.provider.machines` has the state of each machine's id."""
    lab = running_lab(root, **keys)
    known = lab.provider.machines
    known |= dict.fromkeys(lab.machines.known.values(), RUNNING)
    lab.provider.network = True
    lab.ctx.workspace.kubeconfig.write_text("a kubeconfig\n")
    lab.script((lambda call: True, OK))

    def states() -> Mapping[str, str]:
        return {name: known[machine] for name, machine in lab.machines.known.items() if machine in known}

    def pause(ids: Sequence[str]) -> Mapping[str, float]:
        assert {known[machine] for machine in ids} == {RUNNING}
        lab.provider.calls.append(("pause", list(ids)))
        known.update(dict.fromkeys(ids, PAUSED))
        return dict.fromkeys(ids, 0.0)

    def resume(ids: Sequence[str]) -> None:
        assert {known[machine] for machine in ids} == {PAUSED}
        lab.provider.calls.append(("resume", list(ids)))
        known.update(dict.fromkeys(ids, RUNNING))

    lab.machines.states = states  # type: ignore[method-assign]
    lab.backend.pause = pause  # type: ignore[method-assign]
    lab.backend.resume = lab.provider.resume = resume  # type: ignore[method-assign]
    return lab


def set_machines(lab: Lab, state: str, *names: str) -> None:
    """Give machines a state; all of them without `names`."""
    for name in names or lab.machines.known:
        lab.provider.machines[id_of(name)] = state


def machines(lab: Lab) -> set[str]:
    """Return the states that the machines have."""
    return set(lab.provider.machines.values())


def verbs(lab: Lab) -> list[str]:
    """Return what was done to machines, each run of the same once."""
    words = [verb for verb, _ in lab.provider.calls]
    return [word for at, word in enumerate(words) if at == 0 or words[at - 1] != word]


def cluster(lab: Lab, *more: dict[str, Any], ready: bool = True) -> None:
    """Let the API server tell of all nodes, and of `more`."""
    nodes = [
        {
            "kind": "Node",
            "metadata": {"name": node.name},
            "status": {
                "conditions": [{"type": "Ready", "status": str(ready)}],
                "addresses": [{"type": "InternalIP", "address": node.ip}],
            },
        }
        for node in lab.ctx.inventory.nodes
    ]
    lab.kubectl.answer("get nodes,pods*", json.dumps({"items": [*nodes, *more]}))


def pod(name: str, namespace: str, began: str, *, ready: bool = True) -> dict[str, Any]:
    """Return a pod on lab-w1 whose container began at that time."""
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"nodeName": "lab-w1"},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": [{"name": "c", "state": {"running": {"startedAt": began}}}],
        },
    }
