"""Recovers from an interrupted snapshot command: leaves no partial snapshot and no paused machine."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator

from provision.engine.waiting import poll_until
from provision.errors import Cancelled, LabError, MachineBusy, MadeByNewer, SnapshotError, in_one_line
from provision.host.interrupts import interrupts_held
from provision.lab.context import Context
from provision.lab.refusals import refuse_anothers_machines
from provision.providers.base import PAUSED, SnapshotBackend
from provision.snapshots import journal as snapshot_journal
from provision.snapshots.journal import Journal
from provision.snapshots.machines import erase, revert
from provision.snapshots.manifests import Manifests
from provision.snapshots.preconditions import restorable
from provision.snapshots.repairing import repair_and_verify

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
