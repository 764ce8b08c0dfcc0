"""Runs the shipped checks, and the user's own tests, against a cluster and records the result."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from provision.errors import Cancelled, LabError
from provision.lab.context import Context
from provision.lab.halted import require_running
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
    """Run the checks, show the results and return the record; raises VerifyFailed when a check fails.

    `only` and `skip` are concerns (names of test files) or marks; `tests` are folders of own tests.
    """
    request = Request(lab_file, Selection(quick, tuple(only), tuple(skip)), tuple(tests), junit)
    outcome = examine(ctx, request)
    if outcome.failures:
        raise outcome.error()
    return outcome.record()


def prove(ctx: Context, lab_file: Path, checks: Path = CHECKS) -> float:
    """Run the quick checks at the end of another command; return how many seconds they took.

    They are not run without a pod network, as the nodes are not Ready then. Failed checks are run once more,
    since a cluster that was just created or restored may be slow to answer; raises VerifyFailed when they
    fail again.
    """
    if ctx.cni.name == "none":
        return 0.0
    request = Request(lab_file, Selection(quick=True), checks=checks)
    first = examine(ctx, request)
    if not first.failures:
        return first.seconds
    ctx.report.info("running the checks once more: a new or restored cluster may be slow to answer at first")
    again = examine(ctx, request)
    if again.failures:
        raise again.error()
    return first.seconds + again.seconds


def examine(ctx: Context, request: Request) -> Outcome:
    """Run the checks and show the results; record them unless --only or --skip left some out.

    Raises LabError when the lab has no running cluster, and what `run_checks` raises; never VerifyFailed.
    """
    _require_running(ctx)
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


def _require_running(ctx: Context) -> None:
    """Raise LabError unless the lab has a cluster and all its machines run."""
    if not ctx.workspace.kubeconfig.exists():
        raise LabError(f"the lab {ctx.config.name} has no cluster yet", hint="kubelab up")
    require_running(ctx, [node.name for node in ctx.inventory.nodes])
