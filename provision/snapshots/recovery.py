"""Ends what a snapshot command began and did not end: no half snapshot, and every machine runs again."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator, Mapping

from provision.config.inventory import Node
from provision.engine.parallel import on_all
from provision.engine.waiting import poll_until
from provision.errors import Cancelled, LabError, MachineBusy, SnapshotError, in_one_line
from provision.lab.context import Context
from provision.lab.readiness import wait_until_ready, what_is_missing
from provision.providers.base import PAUSED, SnapshotBackend
from provision.repair.cluster import repair
from provision.snapshots import journal as snapshot_journal
from provision.snapshots.journal import Journal
from provision.snapshots.manifests import Manifest, Manifests

# A hypervisor that still copies memory for a command that was killed takes no other until it is done.
BUSY_SECONDS = 180.0
BUSY_POLL = 0.5


@contextlib.contextmanager
def guarded(ctx: Context, journal: Journal) -> Iterator[None]:
    """Write the journal; when what follows fails or is interrupted, mend it at once and raise."""
    snapshot_journal.write(ctx.workspace, journal)
    try:
        yield
    except (Exception, KeyboardInterrupt) as cause:
        ctx.report.info("mending what was begun")
        # Work that was given up is to be mended all the same: this has a cancel event of its own.
        calm = dataclasses.replace(ctx, cancel=threading.Event())
        try:
            _undo(calm, snapshot_journal.read(ctx.workspace) or journal)
        except LabError as error:
            ctx.report.warn(f"{in_one_line(error)}; the next kubelab command tries again")
        else:
            left = snapshot_journal.read(ctx.workspace)
            if left is not None and isinstance(cause, Cancelled | KeyboardInterrupt):
                ctx.report.info(
                    f"every machine is at `{left.name}`; the next kubelab command repairs the cluster"
                )
        raise


def mend(ctx: Context, *, restoring: bool = False) -> None:
    """Mend what an interrupted command left, if one did.

    With `restoring` an interrupted restore is not brought to its end, as another one follows. Raises
    SnapshotError when machines are left at different points in time.
    """
    journal = snapshot_journal.read(ctx.workspace)
    if journal is None:
        return
    ctx.report.warn(f"`{journal.command}` was interrupted: mending what it left")
    if restoring and journal.action == "restore":
        _resume(ctx, ctx.snapshots(ctx.cancel), journal)
        return
    try:
        _undo(ctx, journal)
    except Cancelled:
        raise
    except LabError as error:
        if journal.action == "restore":
            raise
        ctx.report.warn(f"{in_one_line(error)}; kubelab snapshot list shows what is left")
    left = snapshot_journal.read(ctx.workspace)
    if left is not None and left.phase == "repairing":
        settle(ctx, Manifests(ctx.workspace.snapshots, ctx.config.name).read(left.name))


def revert(ctx: Context, backend: SnapshotBackend, journal: Journal, manifest: Manifest) -> None:
    """Put all machines back, and let them run if they ran then; the journal says how far it came."""
    snapshot_journal.write(ctx.workspace, journal.model_copy(update={"phase": "reverting"}))
    name, live = manifest.name, manifest.live
    on_machines(ctx, manifest.ids, lambda machine: backend.revert(machine, name, live=live))
    if live:
        backend.resume(list(manifest.ids.values()))
    snapshot_journal.write(ctx.workspace, journal.model_copy(update={"phase": "repairing"}))


def settle(ctx: Context, manifest: Manifest) -> None:
    """Repair and verify the cluster after its machines were put back.

    What was red when it was saved is red again, and only told. Raises what repair and verification raise.
    """
    # Connections of before belong to a time that the nodes know nothing of.
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
            ctx.report.warn(f"the cluster was not healthy when it was saved, and is not now: {error.message}")
    snapshot_journal.remove(ctx.workspace)


def erase(ctx: Context, ids: Mapping[str, str], name: str) -> None:
    """Delete a snapshot from each of the machines (node -> id) that has it."""
    backend = ctx.snapshots(ctx.cancel)

    def delete(machine: str) -> None:
        if name in backend.list([machine])[machine].names:
            backend.delete(machine, name)

    on_machines(ctx, ids, delete)


def on_machines(ctx: Context, ids: Mapping[str, str], work: Callable[[str], None]) -> None:
    """Do `work` with the machine of every node in `ids`, all at once; raises as `on_all` does."""

    def of_node(node: Node) -> None:
        work(ids[node.name])

    on_all([node for node in ctx.inventory.nodes if node.name in ids], of_node, ctx.cancel)


def _undo(ctx: Context, journal: Journal) -> None:
    """Bring a command back to its beginning, or to its end where there is no way back."""
    backend, store = ctx.snapshots(ctx.cancel), Manifests(ctx.workspace.snapshots, ctx.config.name)
    if journal.action == "restore" and journal.phase == "reverting":
        _finish_restore(ctx, backend, journal, store)
        return
    _resume(ctx, backend, journal)
    if journal.action == "restore":
        if journal.phase == "started":
            snapshot_journal.remove(ctx.workspace)
        return
    # A save's manifest is the last thing it writes: with it, the snapshot is whole.
    if journal.action == "delete" or not store.exists(journal.name):
        there = backend.states(list(journal.ids.values()))
        ids = {node: machine for node, machine in journal.ids.items() if machine in there}
        _patiently(ctx, lambda: erase(ctx, ids, journal.name))
        store.remove(journal.name)
    snapshot_journal.remove(ctx.workspace)


def _finish_restore(ctx: Context, backend: SnapshotBackend, journal: Journal, store: Manifests) -> None:
    """Put all machines back once more: some went already, and what they were is gone."""
    try:
        _patiently(ctx, lambda: revert(ctx, backend, journal, store.read(journal.name)))
    except Cancelled:
        raise
    except LabError as error:
        with contextlib.suppress(LabError):
            _resume(ctx, backend, journal)
        raise SnapshotError(
            f"the machines are at different points in time: {error.message}",
            hint="kubelab snapshot restore with another snapshot; or kubelab destroy, then kubelab up",
        ) from error


def _resume(ctx: Context, backend: SnapshotBackend, journal: Journal) -> None:
    """Let the machines run on that ran before; one that is off by now needs `kubelab up`."""
    ran = [journal.ids[node] for node in journal.running]

    def resume() -> None:
        paused = [machine for machine, state in backend.states(ran).items() if state == PAUSED]
        if paused:
            backend.resume(paused)

    _patiently(ctx, resume)


def _patiently(ctx: Context, work: Callable[[], None]) -> None:
    """Do `work` as soon as the hypervisor is done with what a killed command asked of it."""

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
    ctx.report.phase("verify", ctx.clock.now() - repaired)
