"""`start`: lets a stopped lab run again, and waits until its cluster is ready."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from provision.engine.steps import Step, run_steps
from provision.errors import Cancelled, ConfigError, StepFailed, WaitTimeout
from provision.lab import start_record
from provision.lab.context import Context
from provision.lab.halted import START
from provision.lab.leaving import refuse_leaving
from provision.lab.readiness import what_is_missing
from provision.lab.refusals import refuse_anothers_machines, refuse_other_names
from provision.lab.start_record import UNKNOWN, StartRecord
from provision.lifecycle.boot import BootStep
from provision.lifecycle.comeback import ComebackStep, with_booted
from provision.lifecycle.wake import WakeStep, wake
from provision.providers.base import RUNNING, SAVED, STOPPED
from provision.repair.cluster import repair
from provision.steps.machines import NetworkStep
from provision.steps.nodes import NodesStep
from provision.steps.ports import PortsStep
from provision.verify.examine import prove

TO_UP = "kubelab up removes it; or set the count back"
SET_BACK = "set the count back and run kubelab start; then lower it again, and run kubelab up"


def start(ctx: Context, lab_file: Path) -> None:
    """Start every machine of a lab that was made, bring its cluster back, and run the quick checks.

    Raises ConfigError for a lab that was never made, what the steps and the repair raise, and VerifyFailed.
    """
    _refuse_unmade(ctx)
    refuse_anothers_machines(ctx)
    refuse_other_names(ctx)
    begin = ctx.clock.now()
    changed = not _is_up(ctx)
    if changed:
        refuse_leaving(ctx, "all machines of a lab start together", SET_BACK if _is_kept(ctx) else TO_UP)
    if changed:
        proved = _bring_back(ctx, lab_file)
    else:
        proved = 0.0
        # Whatever ended what listens there.
        _run(ctx, PortsStep())
    seconds = ctx.clock.now() - begin
    if changed:
        ctx.report.info(f"the lab {ctx.config.name} runs again, after {seconds:.1f} s")
    else:
        ctx.report.info(f"nothing to do: the lab {ctx.config.name} runs, and every node is Ready")
    found = {"changed": changed, "seconds": round(seconds, 1), "verify_seconds": round(proved, 1)}
    ctx.report.result({"lab": ctx.config.name, **found})


def go_on(ctx: Context, lab_file: Path) -> None:
    """Bring back a lab whose memory is kept, or whose start was interrupted: `up` begins with that.

    Vagrant knows of neither. Where a machine is missing, all others are let run, and `up` does the rest.
    """
    if not _is_kept(ctx):
        return
    # The cluster would wait for a node that does not start, and nothing could be drained.
    refuse_leaving(ctx, "they leave only a lab that runs, or is off without its memory", SET_BACK)
    ctx.report.info("the lab was stopped: first it is started")
    if _what_is_unmade(ctx):
        run_steps((NetworkStep(),), ctx, ctx.report, clock=ctx.clock, cancel=ctx.cancel)
        wake(ctx)
        start_record.remove(ctx.workspace)
    else:
        _bring_back(ctx, lab_file)


def _is_kept(ctx: Context) -> bool:
    """Return whether the memory of a machine is kept, or a start was interrupted."""
    return SAVED in ctx.machines.states().values() or start_record.read(ctx.workspace) is not None


def _bring_back(ctx: Context, lab_file: Path) -> float:
    """Start the machines and bring the cluster back; return how long the checks took."""
    try:
        record = _note(ctx)
        _run(ctx, NetworkStep(), WakeStep())
        # What was connected to these machines before knows nothing of it.
        ctx.disconnect()
        well = _boot(ctx, record) if record.booted else _resume(ctx, record)
    except Cancelled:
        raise Cancelled("the start was interrupted", hint=f"{START} goes on from here") from None
    start_record.remove(ctx.workspace)
    _run(ctx, PortsStep())
    return prove(ctx, lab_file) if well else 0.0


def _note(ctx: Context) -> StartRecord:
    """Write down what is to be done once the machines run, and return that."""
    states = ctx.machines.states()
    record = start_record.read(ctx.workspace)
    if record is None:
        now = dt.datetime.now(dt.UTC)
        record = UNKNOWN if SAVED in states.values() else StartRecord(time=now)
    record = with_booted(record, [name for name, state in states.items() if state == STOPPED])
    start_record.write(ctx.workspace, record)
    return record


def _boot(ctx: Context, record: StartRecord) -> bool:
    """Bring a cluster back of which machines booted; look closer where it does not come by itself."""
    _run(ctx, BootStep(), NodesStep())
    try:
        _run(ctx, ComebackStep(record))
    except StepFailed as failed:
        if not isinstance(failed.cause, WaitTimeout):
            raise
        ctx.report.info("the cluster did not come back by itself: checking every node")
        repair(ctx, record.time.timestamp())
        _run(ctx, ComebackStep(start_record.read(ctx.workspace) or record))
    return True


def _resume(ctx: Context, record: StartRecord) -> bool:
    """Repair what the jump in time upset, as after a restore; return whether the cluster is well."""
    repair(ctx, record.time.timestamp(), good_until=record.good_until if record.verified else None)
    if record.verified:
        _run(ctx, ComebackStep(record))
        return True
    for problem in what_is_missing(ctx):
        ctx.report.warn(f"not ready, as when the lab was stopped: {problem}")
    return False


def _run(ctx: Context, *steps: Step[Context]) -> None:
    run_steps(steps, ctx, ctx.report, clock=ctx.clock, cancel=ctx.cancel)


def _is_up(ctx: Context) -> bool:
    """Return whether there is nothing to do."""
    states = ctx.machines.states()
    running = all(states.get(node.name) == RUNNING for node in ctx.inventory.nodes)
    return running and start_record.read(ctx.workspace) is None and not what_is_missing(ctx)


def _refuse_unmade(ctx: Context) -> None:
    if text := _what_is_unmade(ctx):
        raise ConfigError(text, hint="kubelab up")


def _what_is_unmade(ctx: Context) -> str:
    """Return what only `up` can make, or an empty string."""
    states = ctx.machines.states()
    missing = [node.name for node in ctx.inventory.nodes if node.name not in states]
    if not states:
        return f"the lab {ctx.config.name} has no machines yet"
    if missing:
        return f"{', '.join(missing)} has no machine"
    return "" if ctx.workspace.kubeconfig.exists() else f"the lab {ctx.config.name} has no cluster yet"
