"""`stop --save`: keeps the memory of all machines at one point in time, and switches them off."""

from __future__ import annotations

import dataclasses
import datetime as dt
import threading

from provision.errors import Cancelled, LabError, in_one_line
from provision.host.interrupts import interrupts_held
from provision.lab import ports, start_record
from provision.lab.context import Context
from provision.lab.halted import START
from provision.lab.readiness import what_is_missing
from provision.lab.refusals import refuse_anothers_machines
from provision.lab.start_record import StartRecord
from provision.lifecycle.each import on_each
from provision.lifecycle.stop import machines_on, require_off, tell_nothing_to_do, told
from provision.lifecycle.wake import wake
from provision.providers.base import RUNNING, SnapshotBackend
from provision.snapshots.preconditions import room
from provision.snapshots.preparation import prepare

HINT = "free disk space where the hypervisor keeps it, or stop without --save"


def suspend(ctx: Context) -> None:
    """Keep the memory of every machine that runs; raises ResourceError before any is changed.

    If it fails or is interrupted, all machines run on. If it was killed, some stand still and some are saved,
    all at one point in time: the next `stop --save` saves the rest, the next `start` lets all run on.
    """
    refuse_anothers_machines(ctx)
    ids, begin = machines_on(ctx), ctx.clock.now()
    if not ids:
        tell_nothing_to_do(ctx)
        return
    backend = ctx.snapshots(ctx.cancel)
    with told(ctx, "Memory saved"):
        running = [name for name, state in ctx.machines.states().items() if state == RUNNING]
        if running:
            _prepare(ctx, backend, ids, running)
        try:
            if running:
                backend.pause([ids[name] for name in running])
            on_each(ctx, ids, ctx.provider.save_memory, "cannot be saved", HINT)
            require_off(ctx)
        except BaseException:
            _undo(ctx)
            raise
    ports.close(ctx)
    ctx.disconnect()
    seconds = ctx.clock.now() - begin
    ctx.report.info(f"stopped the lab {ctx.config.name} in {seconds:.1f} s; its memory is kept")
    found = {"stopped": list(ids), "switched_off": [], "saved": True}
    ctx.report.result({"lab": ctx.config.name, **found, "seconds": round(seconds, 1)})
    ctx.report.next_commands([START])


def _undo(ctx: Context) -> None:
    """Let all machines run on; what was saved of some is loaded again."""
    calm = dataclasses.replace(ctx, cancel=threading.Event())
    try:
        with interrupts_held():
            wake(calm)
    except Exception as error:
        ctx.report.warn(f"machines may stand still: {in_one_line(error)}; {START} lets them run on")
    else:
        ctx.report.info(f"all machines run on; {START} looks whether the cluster is well")


def _prepare(ctx: Context, backend: SnapshotBackend, ids: dict[str, str], running: list[str]) -> None:
    """Make sure of the room, prepare the nodes' clocks, and write down what `start` has to know."""
    room(ctx, backend, ids, live=True)
    whole = set(running) == {node.name for node in ctx.inventory.nodes}
    # Of an interrupted `start` or `stop --save`: then the cluster is yet to be looked at, whatever it says.
    before = start_record.read(ctx.workspace)
    verified = _is_ready(ctx) if whole else before is not None and before.verified
    good_until = prepare(ctx, ids) if whole else None
    start_record.write(
        ctx.workspace,
        StartRecord(
            time=dt.datetime.now(dt.UTC),
            verified=verified,
            good_until=good_until if before is None else None,
        ),
    )


def _is_ready(ctx: Context) -> bool:
    try:
        return not what_is_missing(ctx)
    except Cancelled:
        raise
    except LabError:
        # There is no cluster yet, or no kubectl here.
        return False
