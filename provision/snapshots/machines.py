"""The machines in a snapshot command: putting all of them back at once, and deleting what they saved."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from provision.config.inventory import Node
from provision.engine.parallel import on_all
from provision.errors import SnapshotError
from provision.lab import start_record
from provision.lab.context import Context
from provision.providers.base import RUNNING, SnapshotBackend
from provision.snapshots import journal as snapshot_journal
from provision.snapshots.journal import Journal
from provision.snapshots.manifests import Manifest


def revert(ctx: Context, backend: SnapshotBackend, journal: Journal, manifest: Manifest) -> None:
    """Restore all machines, and resume them if they ran when saved; the journal records the progress."""
    snapshot_journal.write(ctx.workspace, journal.model_copy(update={"phase": "reverting"}))
    name, live = manifest.name, manifest.live
    # It tells of another point in time.
    start_record.remove(ctx.workspace)
    _stand_still(backend, manifest)
    ids = ctx.inventory.by_name(manifest.ids)
    on_machines(ctx, ids, lambda machine: backend.revert(machine, name, live=live))
    if live:
        backend.resume(list(manifest.ids.values()))
    snapshot_journal.write(ctx.workspace, journal.model_copy(update={"phase": "repairing"}))


def erase(ctx: Context, ids: Mapping[str, str], name: str) -> None:
    """Delete a snapshot from each of the machines (node -> id) that has it.

    Raises SnapshotError where the hypervisor reported success, and a machine still has it.
    """
    backend = ctx.snapshots(ctx.cancel)

    def delete(machine: str) -> None:
        if name in backend.list([machine])[machine].names:
            backend.delete(machine, name)

    on_machines(ctx, ids, delete)
    held = backend.list(list(ids.values()))
    still = [node for node, machine in ids.items() if name in held[machine].names]
    if still:
        raise SnapshotError(
            f"the hypervisor reported no error, but {', '.join(still)} still has the snapshot `{name}`",
            hint=f"kubelab snapshot delete {name}",
        )


def on_machines(ctx: Context, ids: Mapping[str, str], work: Callable[[str], None]) -> None:
    """Do `work` with the machine of every node in `ids`, all at once; raises as `on_all` does."""

    def of_node(node: Node) -> None:
        work(ids[node.name])

    on_all([node for node in ctx.inventory.nodes if node.name in ids], of_node, ctx.cancel)


def _stand_still(backend: SnapshotBackend, manifest: Manifest) -> None:
    """Pause what runs: an earlier attempt may have let machines run on, each would be put back by itself."""
    states = backend.states(list(manifest.ids.values()))
    running = [machine for machine, state in states.items() if state == RUNNING]
    if running:
        backend.pause(running)
