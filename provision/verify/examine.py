"""Proves by tests that a cluster is right: the shipped checks, and a user's own beside them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from provision.errors import Cancelled, LabError
from provision.lab.context import Context
from provision.providers.base import RUNNING
from provision.verify import record
from provision.verify.outcome import Outcome
from provision.verify.record import VerifyRecord
from provision.verify.run import CHECKS, Request, run_checks
from provision.verify.selection import Selection

STEP = "verify"


def verify(
    ctx: Context,
    lab_file: Path,
    *,
    quick: bool = False,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    tests: Sequence[Path] = (),
    junit: Path | None = None,
) -> VerifyRecord:
    """Run the checks, tell how they went and return what is recorded; raises VerifyFailed when one is red.

    `only` and `skip` are concerns (names of test files) or marks, `tests` folders of the user's own.
    """
    request = Request(lab_file, Selection(quick, tuple(only), tuple(skip)), tuple(tests), junit)
    outcome = examine(ctx, request)
    if outcome.failures:
        raise outcome.error()
    return outcome.record()


def prove(ctx: Context, lab_file: Path, checks: Path = CHECKS) -> float:
    """Run the quick checks at the end of another command; return their seconds.

    Without a pod network there is nothing yet that could be green. Raises VerifyFailed when checks are
    red, and red again when all are run once more: what was just made or put back answers late at times.
    """
    if ctx.cni.name == "none":
        return 0.0
    request = Request(lab_file, Selection(quick=True), checks=checks)
    first = examine(ctx, request)
    if not first.failures:
        return first.seconds
    ctx.report.info("once more: a lab that was just made or put back may be too busy to answer in time")
    again = examine(ctx, request)
    if again.failures:
        raise again.error()
    return first.seconds + again.seconds


def examine(ctx: Context, request: Request) -> Outcome:
    """Run the checks, tell how they went, and record it, unless it was but a chosen part of them.

    Raises LabError when there is no cluster to look at, and what `run_checks` raises; never VerifyFailed.
    """
    _refuse(ctx)
    whole = not request.selection.only and not request.selection.skip
    quick = request.selection.quick
    last = record.read(ctx.workspace)
    estimate = last.seconds if last is not None and whole and last.quick == quick else None
    began = time.monotonic()
    ctx.report.step_started(STEP, "Verify the cluster" + (", quick checks" if quick else ""), estimate)
    try:
        checks = run_checks(ctx, request, STEP)
    except BaseException as error:
        shown = Cancelled("interrupted") if isinstance(error, KeyboardInterrupt) else error
        ctx.report.step_failed(STEP, time.monotonic() - began, shown)
        raise
    outcome = Outcome(request, checks, time.monotonic() - began, ctx.inventory.first.name)
    if outcome.failures:
        ctx.report.step_failed(STEP, outcome.seconds, outcome.error())
    else:
        ctx.report.step_done(STEP, outcome.seconds)
    outcome.show(ctx.report)
    if whole:
        record.write(ctx.workspace, outcome.record())
    return outcome


def _refuse(ctx: Context) -> None:
    """Raise LabError when there is nothing that could be verified."""
    if not ctx.workspace.kubeconfig.exists():
        raise LabError(f"the lab {ctx.config.name} has no cluster yet", hint="kubelab up")
    states = ctx.machines.states()
    for node in ctx.inventory.nodes:
        state = states.get(node.name, "not there")
        if state != RUNNING:
            raise LabError(f"the machine {node.name} is {state}", hint="kubelab up")
