"""What is asked before a lab is saved or put back: every refusal comes before any machine is touched."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping

from provision.config.inventory import Node
from provision.errors import ResourceError, SnapshotError
from provision.lab.context import Context
from provision.providers.base import PAUSED, RUNNING, SnapshotBackend, Space
from provision.snapshots.manifests import Manifest, Manifests

MIB = 2**20
# For what the disks grow by besides: the tables of qcow2, and what runs on while others are saved.
MARGIN_MIB = 512
# What a node of a lab just made has in use of its memory (measured with Kubernetes 1.36).
NEW_CONTROL_PLANE_MIB, NEW_WORKER_MIB = 1500, 600


def manifests_of(ctx: Context) -> Manifests:
    """Return the manifests of this lab."""
    return Manifests(ctx.workspace.snapshots, ctx.config.name)


def machine_ids(ctx: Context) -> dict[str, str]:
    """Return node name -> machine id of all nodes; raises SnapshotError when one has no machine."""
    ids = ctx.machines.ids()
    missing = [node.name for node in ctx.inventory.nodes if node.name not in ids]
    if missing:
        raise SnapshotError(f"{', '.join(missing)} has no machine", hint="kubelab up")
    return {node.name: ids[node.name] for node in ctx.inventory.nodes}


def restorable(ctx: Context, backend: SnapshotBackend, name: str) -> tuple[Manifest, dict[str, str]]:
    """Return a snapshot's manifest and machines; raises SnapshotError unless every machine can go back."""
    manifest = manifests_of(ctx).read(name)
    ids = machine_ids(ctx)
    away = "kubelab snapshot list shows which snapshots fit the lab as it is"
    if set(manifest.ids) != set(ids):
        was, now = ", ".join(manifest.ids), ", ".join(ids)
        raise SnapshotError(f"`{name}` was saved of {was}, and the lab has {now}", hint=away)
    others = [node for node, machine in ids.items() if manifest.ids[node] != machine]
    if others:
        raise SnapshotError(
            f"`{name}` is of machines that are no more: {', '.join(others)} was made anew since",
            hint=f"kubelab snapshot delete {name}; {away}",
        )
    held = backend.list(list(ids.values()))
    lacking = [node for node, machine in ids.items() if name not in held[machine].names]
    if lacking:
        raise SnapshotError(
            f"{', '.join(lacking)} has no snapshot `{name}`, though its manifest is there",
            hint=f"kubelab snapshot delete {name}; {away}",
        )
    return manifest, ids


def check_held(backend: SnapshotBackend, ids: Mapping[str, str], name: str) -> None:
    """Raise SnapshotError when a hypervisor said that it saved a machine, and did not."""
    held = backend.list(list(ids.values()))
    lacking = [node for node, machine in ids.items() if name not in held[machine].names]
    if lacking:
        raise SnapshotError(
            f"{', '.join(lacking)} was saved without an error, and has no snapshot `{name}`",
            hint="the hypervisor's own log says more",
        )


def holders(ctx: Context, backend: SnapshotBackend, name: str) -> dict[str, str]:
    """Return the machines, node -> id, that hold a snapshot called `name`."""
    ids = ctx.machines.ids()
    there = backend.states(list(ids.values()))
    held = backend.list(list(there))
    return {node: machine for node, machine in ids.items() if machine in held and name in held[machine].names}


def all_running(ctx: Context, backend: SnapshotBackend, ids: Mapping[str, str]) -> bool:
    """Return whether the lab runs; raises SnapshotError when it does in part only."""
    states = backend.states(list(ids.values()))
    odd = {node: states.get(machine, "not there") for node, machine in ids.items()}
    if len(set(odd.values())) > 1 or PAUSED in odd.values() or "not there" in odd.values():
        listed = ", ".join(f"{node} is {state}" for node, state in odd.items())
        raise SnapshotError(f"the lab has no one state to save: {listed}", hint="kubelab up")
    return RUNNING in odd.values()


def free_to_save(backend: SnapshotBackend, store: Manifests, ids: Mapping[str, str], name: str) -> str | None:
    """Return the snapshot the lab stands on, which becomes the parent; raises SnapshotError."""
    if store.exists(name):
        raise SnapshotError(
            f"there is a snapshot `{name}` already", hint=f"kubelab snapshot delete {name}, or another name"
        )
    held = backend.list(list(ids.values()))
    taken = [node for node, machine in ids.items() if name in held[machine].names]
    if taken:
        raise SnapshotError(
            f"{', '.join(taken)} has a snapshot `{name}` that no manifest speaks of",
            hint=f"kubelab snapshot delete {name}, or another name",
        )
    return current_of(store.all()[0], [held[machine].current for machine in ids.values()])


def current_of(known: Mapping[str, Manifest], currents: list[str | None]) -> str | None:
    """Return the snapshot that all machines stand on, if they stand on one that has a manifest."""
    names = set(currents)
    name = names.pop() if len(names) == 1 else None
    return name if name in known else None


def likely_mib(store: Manifests, nodes: Iterable[Node]) -> int:
    """Return how many MiB a save of running nodes will write: as the last one did, or what a new lab does."""
    sizes = [manifest.size for manifest in store.all()[0].values() if manifest.live]
    if sizes:
        return sizes[-1] // MIB
    return sum(
        min(node.memory, NEW_CONTROL_PLANE_MIB if node.is_control_plane else NEW_WORKER_MIB) for node in nodes
    )


def room(
    ctx: Context, backend: SnapshotBackend, ids: Mapping[str, str], *, live: bool
) -> Mapping[str, Space]:
    """Return what the machines take on disk; raises ResourceError when their memory may not fit beside it."""
    spaces = backend.space(list(ids.values()))
    memory = sum(node.memory for node in ctx.inventory.nodes) if live else 0
    needed = memory + MARGIN_MIB
    for folder in {space.folder for space in spaces.values()}:
        free = shutil.disk_usage(folder).free // MIB
        if free < needed:
            raise ResourceError(
                f"{folder} has {free} MiB free, and a snapshot may take {needed} MiB "
                f"({memory} MiB of memory, {MARGIN_MIB} MiB to spare)",
                hint="kubelab snapshot delete --keep 1, or make room there",
            )
    return spaces
