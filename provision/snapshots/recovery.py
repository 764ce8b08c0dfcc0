"""Recovers from an interrupted snapshot command: leaves no partial snapshot and no paused machine."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator, Mapping

from provision.config.inventory import Node
from provision.engine.parallel import on_all
from provision.engine.waiting import poll_until
from provision.errors import Cancelled, LabError, MachineBusy, MadeByNewer, SnapshotError, in_one_line
from provision.host.interrupts import interrupts_held
from provision.lab.context import Context
from provision.lab.readiness import wait_until_ready, what_is_missing
from provision.lab.refusals import refuse_anothers_machines
from provision.providers.base import PAUSED, RUNNING, SnapshotBackend
from provision.repair.cluster import repair
from provision.snapshots import journal as snapshot_journal
from provision.snapshots.journal import Journal
from provision.snapshots.manifests import Manifest, Manifests
from provision.snapshots.preconditions import restorable

# A hypervisor that still copies memory for a killed command accepts no other command until it is done.
BUSY_SECONDS = 180.0
BUSY_POLL = 0.5


@contextlib.contextmanager
def guarded(ctx: Context, journal: Journal) -> Iterator[None]:
    """Write the journal; when the body fails or is interrupted, recover at once and raise."""
    snapshot_journal.write(ctx.workspace, journal)
    try:
        yield
    except (Exception, KeyboardInterrupt) as cause:
        # Whatever it is, the machines come first: it is told once they run.
        failed = _mended(ctx, journal)
        if failed is not None:
            ctx.report.warn(f"not undone: {in_one_line(failed)}; the next kubelab command tries again")
        else:
            _tell_undone(ctx, cause)
        raise


def recover(ctx: Context, *, restoring: str = "") -> None:
    """Recover from an interrupted snapshot command, if there was one.

    An interrupted restore is not completed when the snapshot `restoring` is there to be restored next. Raises
    SnapshotError when machines are left at different points in time.
    """
    journal = snapshot_journal.read(ctx.workspace)
    if journal is None:
        return
    refuse_anothers_machines(ctx)
    journal = _of_this_lab(ctx, journal)
    ctx.report.warn(f"`{journal.command}` was interrupted: recovering from it")
    if restoring and journal.action == "restore" and _can_be_restored(ctx, restoring):
        _resume(ctx, journal)
        return
    try:
        _undo(ctx, journal)
    except Cancelled:
        raise
    except LabError as error:
        if journal.action == "restore":
            raise
        ctx.report.warn(f"not recovered: {in_one_line(error)}; kubelab snapshot list shows what is left")
    left = snapshot_journal.read(ctx.workspace)
    if left is not None and left.phase == "repairing":
        repair_and_verify(ctx, Manifests(ctx.workspace.snapshots, ctx.config.name).read(left.name))


def _can_be_restored(ctx: Context, name: str) -> bool:
    try:
        restorable(ctx, ctx.snapshots(ctx.cancel), name)
    except (SnapshotError, MadeByNewer):
        return False
    return True


def _of_this_lab(ctx: Context, journal: Journal) -> Journal:
    """Return the journal of those machines alone that Vagrant made here: a file may name others."""
    made = ctx.machines.ids()
    ids = {node: machine for node, machine in journal.ids.items() if made.get(node) == machine}
    running = tuple(node for node in journal.running if node in ids)
    return journal.model_copy(update={"ids": ids, "running": running})


def revert(ctx: Context, backend: SnapshotBackend, journal: Journal, manifest: Manifest) -> None:
    """Restore all machines, and resume them if they ran when saved; the journal records the progress."""
    snapshot_journal.write(ctx.workspace, journal.model_copy(update={"phase": "reverting"}))
    name, live = manifest.name, manifest.live
    _stand_still(backend, manifest)
    on_machines(ctx, manifest.ids, lambda machine: backend.revert(machine, name, live=live))
    if live:
        backend.resume(list(manifest.ids.values()))
    snapshot_journal.write(ctx.workspace, journal.model_copy(update={"phase": "repairing"}))


def _stand_still(backend: SnapshotBackend, manifest: Manifest) -> None:
    """Pause what runs: an earlier attempt may have let machines run on, each would be put back by itself."""
    states = backend.states(list(manifest.ids.values()))
    running = [machine for machine, state in states.items() if state == RUNNING]
    if running:
        backend.pause(running)


def repair_and_verify(ctx: Context, manifest: Manifest) -> None:
    """Repair and verify the cluster after its machines were restored.

    A cluster that was not healthy when it was saved gets warnings only. Raises what repair and verification
    raise.
    """
    # The restored nodes know nothing of connections that were opened later.
    ctx.disconnect()
    if manifest.live:
        try:
            _repair(ctx, manifest)
        except Cancelled:
            raise
        except LabError as error:
            snapshot_journal.remove(ctx.workspace)
            if manifest.verified:
                raise
            ctx.report.warn(f"the cluster is not healthy, as when it was saved: {error.message}")
    snapshot_journal.remove(ctx.workspace)


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


def _mended(ctx: Context, journal: Journal) -> Exception | None:
    """Undo a command that failed; return what kept it from being undone."""
    # It has a cancel event of its own, since the first one may be set already.
    calm = dataclasses.replace(ctx, cancel=threading.Event())
    try:
        _undo(calm, snapshot_journal.read_own(ctx.workspace) or journal)
    except Exception as error:
        return error
    return None


def _tell_undone(ctx: Context, cause: BaseException) -> None:
    left = snapshot_journal.read_own(ctx.workspace)
    if left is None:
        ctx.report.info("the unfinished snapshot command was undone")
    elif isinstance(cause, Cancelled | KeyboardInterrupt):
        ctx.report.info(f"all machines are restored to `{left.name}`; the next command repairs the cluster")


def _undo(ctx: Context, journal: Journal) -> None:
    """Undo a command, or complete it where it cannot be undone."""
    backend, store = ctx.snapshots(ctx.cancel), Manifests(ctx.workspace.snapshots, ctx.config.name)
    if journal.action == "restore" and journal.phase == "reverting":
        _finish_restore(ctx, backend, journal, store)
        return
    _resume(ctx, journal)
    if journal.action == "restore":
        if journal.phase == "started":
            snapshot_journal.remove(ctx.workspace)
        return
    # A save writes its manifest last: where there is one, the snapshot is complete.
    if journal.action == "delete" or not store.exists(journal.name):
        there = backend.states(list(journal.ids.values()))
        ids = {node: machine for node, machine in journal.ids.items() if machine in there}
        _patiently(ctx, lambda: erase(ctx, ids, journal.name))
        store.remove(journal.name)
    snapshot_journal.remove(ctx.workspace)


def _finish_restore(ctx: Context, backend: SnapshotBackend, journal: Journal, store: Manifests) -> None:
    """Restore all machines once more: some were restored already, and their state before is lost."""
    try:
        _patiently(ctx, lambda: revert(ctx, backend, journal, store.read(journal.name)))
    except (Exception, KeyboardInterrupt) as error:
        with contextlib.suppress(LabError, OSError):
            _resume(ctx, journal)
        if isinstance(error, Cancelled) or not isinstance(error, LabError | OSError):
            raise
        raise SnapshotError(
            f"the machines are at different points in time: {in_one_line(error)}",
            hint="kubelab snapshot restore with another name; or kubelab destroy, then kubelab up",
        ) from error


def _resume(ctx: Context, journal: Journal) -> None:
    """Resume the paused machines that ran before; `kubelab up` starts those that are powered off by now.

    Nothing interrupts it: the command that is to end has waited for minutes at most.
    """
    calm = dataclasses.replace(ctx, cancel=threading.Event())
    backend = calm.snapshots(calm.cancel)
    ran = [journal.ids[node] for node in journal.running]

    def resume() -> None:
        paused = [machine for machine, state in backend.states(ran).items() if state == PAUSED]
        if paused:
            backend.resume(paused)

    with interrupts_held():
        _patiently(calm, resume)


def _patiently(ctx: Context, work: Callable[[], None]) -> None:
    """Do `work`, once the hypervisor has finished what a killed command asked of it."""

    def attempt() -> bool:
        work()
        return True

    poll_until(
        attempt,
        what="the hypervisor",
        deadline=BUSY_SECONDS,
        clock=ctx.clock,
        interval=BUSY_POLL,
        errors=MachineBusy,
    )


def _repair(ctx: Context, manifest: Manifest) -> None:
    try:
        ctx.kubectl  # noqa: B018 - without it nothing can be asked or repaired
    except LabError as error:
        raise LabError(
            f"the machines are restored to `{manifest.name}` and run, but the cluster was not looked at: "
            f"{error.message}",
            hint=error.hint,
        ) from error
    start = ctx.clock.now()
    moment = manifest.time.timestamp()
    repair(ctx, moment, good_until=manifest.good_until if manifest.verified else None)
    repaired = ctx.clock.now()
    ctx.report.phase("repair", repaired - start)
    if manifest.verified:
        wait_until_ready(ctx, "ready")
    else:
        for problem in what_is_missing(ctx):
            ctx.report.warn(problem)
    ctx.report.phase("ready", ctx.clock.now() - repaired)
