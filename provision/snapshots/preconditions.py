"""Checks before a lab is saved or restored: every refusal comes before any machine is changed."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping

from provision.config.inventory import Node
from provision.config.names import worker_names
from provision.errors import ResourceError, SnapshotError
from provision.lab.context import Context
from provision.lab.halted import next_command
from provision.lab.leaving import leaving
from provision.providers.base import MISSING, RUNNING, STOPPED, SnapshotBackend, Space
from provision.snapshots.manifests import Manifest, Manifests

MIB = 2**20
# Room for what the disks grow by: the tables of qcow2, and writes of machines that are not paused yet.
MARGIN_MIB = 512
# The memory in use on a node of a new lab (measured with Kubernetes 1.36).
NEW_CONTROL_PLANE_MIB, NEW_WORKER_MIB = 1500, 600


def manifests_of(ctx: Context) -> Manifests:
    """Return the manifests of this lab."""
    return Manifests(ctx.workspace.snapshots, ctx.config.name)


def machine_ids(ctx: Context) -> dict[str, str]:
    """Return node name -> machine id of all nodes.

    Raises SnapshotError when a node has no machine, or lab.yaml has no more a worker that is there: it would
    be left at another point in time.
    """
    ids = ctx.machines.ids()
    missing = [node.name for node in ctx.inventory.nodes if node.name not in ids]
    if missing:
        raise SnapshotError(f"{', '.join(missing)} has no machine", hint="kubelab up")
    if more := [machine.node for machine in leaving(ctx)]:
        raise SnapshotError(
            f"the lab has {', '.join(more)} too, and lab.yaml has it no more",
            hint="kubelab up removes it; or set workers.count back",
        )
    return {node.name: ids[node.name] for node in ctx.inventory.nodes}


def restorable(ctx: Context, backend: SnapshotBackend, name: str) -> tuple[Manifest, dict[str, str]]:
    """Return a snapshot's manifest and machines; raises SnapshotError if a machine cannot be restored."""
    manifest = manifests_of(ctx).read(name)
    ids = machine_ids(ctx)
    others_fit = "kubelab snapshot list shows which snapshots can be restored"
    _refuse_other_nodes(ctx, manifest, others_fit)
    saved = ctx.inventory.by_name(manifest.ids)
    others = [node for node, machine in ids.items() if saved[node] != machine]
    if others:
        raise SnapshotError(
            f"`{name}` belongs to machines that no longer exist: {', '.join(others)} was recreated since",
            hint=f"kubelab snapshot delete {name}; {others_fit}",
        )
    held = backend.list(list(ids.values()))
    lacking = [node for node, machine in ids.items() if name not in held[machine].names]
    if lacking:
        raise SnapshotError(
            f"{', '.join(lacking)} has no snapshot `{name}`, although a manifest for it exists",
            hint=f"kubelab snapshot delete {name}; {others_fit}",
        )
    return manifest, ids


def _refuse_other_nodes(ctx: Context, manifest: Manifest, others_fit: str) -> None:
    """Raise SnapshotError where the lab has other nodes than a snapshot, and say how it gets the same."""
    name, saved = manifest.name, manifest.ids
    there = {node.machine for node in ctx.inventory.nodes}
    gone = [machine for machine in saved if machine not in there]
    more = [node.name for node in ctx.inventory.nodes if node.machine not in saved]
    if gone:
        also = f", and the lab has {', '.join(more)} instead" if more else ""
        raise SnapshotError(
            f"`{name}` was saved with {', '.join(gone)}, which the lab has no more{also}:"
            " a machine that is made again is another one",
            hint=f"kubelab snapshot delete {name}; {others_fit}",
        )
    if more:
        workers = len(list(filter(worker_names(manifest.lab).fullmatch, manifest.ids)))
        raise SnapshotError(
            f"`{name}` was saved before {', '.join(more)} came, which would be left at another point in time",
            hint=f"set workers.count to {workers} and run kubelab up, which removes it; {others_fit}",
        )


def check_held(backend: SnapshotBackend, ids: Mapping[str, str], name: str) -> None:
    """Raise SnapshotError when the hypervisor reported success but a machine has no such snapshot."""
    held = backend.list(list(ids.values()))
    lacking = [node for node, machine in ids.items() if name not in held[machine].names]
    if lacking:
        raise SnapshotError(
            f"the hypervisor reported no error, but {', '.join(lacking)} has no snapshot `{name}`",
            hint="see the hypervisor's own log",
        )


def holders(ctx: Context, backend: SnapshotBackend, name: str) -> dict[str, str]:
    """Return the machines, node -> id, that have a snapshot called `name`."""
    ids = ctx.machines.ids()
    there = backend.states(list(ids.values()))
    held = backend.list(list(there))
    return {node: machine for node, machine in ids.items() if machine in held and name in held[machine].names}


def all_running(ctx: Context, backend: SnapshotBackend, ids: Mapping[str, str]) -> bool:
    """Return whether all machines run (true) or are powered off (false); raises SnapshotError otherwise.

    One whose memory is kept is neither: its disk alone would be of no use.
    """
    states = backend.states(list(ids.values()))
    there = {node: states[machine] for node, machine in ids.items() if machine in states}
    found = {node: there.get(node, MISSING) for node in ids}
    if set(found.values()) not in ({RUNNING}, {STOPPED}):
        listed = ", ".join(f"{node} is {state}" for node, state in found.items())
        raise SnapshotError(
            f"to be saved, all machines must run or all be powered off: {listed}",
            hint=next_command(there, ids),
        )
    return RUNNING in found.values()


def free_to_save(backend: SnapshotBackend, store: Manifests, ids: Mapping[str, str], name: str) -> str | None:
    """Return the current snapshot, which becomes the parent; raises SnapshotError when `name` is taken."""
    if store.exists(name):
        raise SnapshotError(
            f"a snapshot `{name}` already exists",
            hint=f"choose another name, or: kubelab snapshot delete {name}",
        )
    held = backend.list(list(ids.values()))
    taken = [node for node, machine in ids.items() if name in held[machine].names]
    if taken:
        raise SnapshotError(
            f"{', '.join(taken)} already has a snapshot `{name}`, which kubelab has no manifest of",
            hint=f"choose another name, or: kubelab snapshot delete {name}",
        )
    return current_of(store.all()[0], [held[machine].current for machine in ids.values()])


def current_of(known: Mapping[str, Manifest], currents: list[str | None]) -> str | None:
    """Return the snapshot that is current on all machines, if there is one and it has a manifest."""
    names = set(currents)
    name = names.pop() if len(names) == 1 else None
    return name if name in known else None


def likely_mib(store: Manifests, nodes: Iterable[Node]) -> int:
    """Return how many MiB a live save will likely write: as much as the last one, or as for a new lab."""
    sizes = [manifest.size for manifest in store.all()[0].values() if manifest.live]
    if sizes:
        return sizes[-1] // MIB
    return sum(
        min(node.memory, NEW_CONTROL_PLANE_MIB if node.is_control_plane else NEW_WORKER_MIB) for node in nodes
    )


def room(
    ctx: Context, backend: SnapshotBackend, ids: Mapping[str, str], *, live: bool
) -> Mapping[str, Space]:
    """Return the disk space of the machines; raises ResourceError when a snapshot may not fit beside it."""
    spaces = backend.space(list(ids.values()))
    memory = sum(node.memory for node in ctx.inventory.nodes) if live else 0
    needed = memory + MARGIN_MIB
    for folder in {space.folder for space in spaces.values()}:
        free = shutil.disk_usage(folder).free // MIB
        if free < needed:
            raise ResourceError(
                f"{folder} has {free} MiB free, and a snapshot may take {needed} MiB "
                f"({memory} MiB of memory, {MARGIN_MIB} MiB to spare)",
                hint="free disk space in that folder, or: kubelab snapshot delete --keep 1",
            )
    return spaces
