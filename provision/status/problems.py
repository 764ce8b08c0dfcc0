"""What keeps a lab from being healthy, as a pure function of its status."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from provision.cluster.health import COMPONENTS, KUBE_SYSTEM, Object, problems
from provision.config.inventory import Inventory
from provision.lab.halted import halted
from provision.providers.base import MISSING, RUNNING

if TYPE_CHECKING:
    from provision.status.model import Status


def problems_of(found: Status, inventory: Inventory, *, network: bool, asked: bool) -> list[str]:
    """Return what is wrong or unknown; an empty list when the lab is healthy.

    `network` says whether the lab has a pod network, `asked` whether the cluster was queried at all.
    """
    texts = _machine_problems(found, inventory)
    if asked:
        return texts + _cluster_problems(found, inventory, network=network) + _certificate_problems(found)
    why = found.unknown["cluster"]
    return texts if why in texts else [*texts, why]


def _machine_problems(found: Status, inventory: Inventory) -> list[str]:
    if not found.states:
        return [] if found.states is not None else [found.unknown["machines"]]
    # A node stays Ready for a while after its machine stopped, so the machines are checked too.
    if text := halted(found.states, [node.name for node in inventory.nodes]):
        return [text]
    states = {node.name: found.states.get(node.name, MISSING) for node in inventory.nodes}
    return [f"machine {name} is {state}" for name, state in states.items() if state != RUNNING]


def _cluster_problems(found: Status, inventory: Inventory, *, network: bool) -> list[str]:
    if found.objects is None:
        texts = [found.unknown["cluster"]]
    else:
        texts = problems(found.objects, inventory, network=network)
        texts += _missing_components(found.pods, inventory)
        if found.failing is None:
            texts.append(f"/readyz does not answer: {found.unknown['readyz']}")
    if found.failing:
        texts.append(f"the API server is not ready: {', '.join(found.failing)}")
    return texts


def _missing_components(pods: Sequence[Object], inventory: Inventory) -> list[str]:
    """Return the control plane components without a pod, which no check of existing pods would find."""
    there = {pod["metadata"]["name"] for pod in pods if pod["metadata"]["namespace"] == KUBE_SYSTEM}
    return [
        f"{component} is not running on {node.name}"
        for node in inventory.control_planes
        for component in COMPONENTS
        if f"{component}-{node.name}" not in there
    ]


def _certificate_problems(found: Status) -> list[str]:
    if found.expiries is None:
        return [f"the certificates cannot be read: {found.unknown['certificates']}"]
    return [
        f"the certificate {each.file} of {each.node} expired on {each.end:%Y-%m-%d}"
        for each in found.expiries
        if each.end <= found.time
    ]
