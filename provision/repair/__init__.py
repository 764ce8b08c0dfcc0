"""What a cluster needs after time travel: clocks, certificates, heartbeats, routes and pods put right."""

from __future__ import annotations

import time
from collections.abc import Callable

from provision.context import Context
from provision.errors import Cancelled
from provision.pipeline import Outcome, Step, Together, run_steps
from provision.repair.certificates import CertificateStep
from provision.repair.clocks import ClockStep
from provision.repair.credentials import CredentialStep
from provision.repair.heartbeats import HeartbeatStep
from provision.repair.network import NetworkStep
from provision.repair.pods import PodStep
from provision.repair.services import ApiStep, ServicesStep
from provision.repair.survey import Survey
from provision.repair.tokens import TokenStep

AGAIN = "run the same `kubelab snapshot restore` or `kubelab reset` again"


def repair_steps(
    moment: float, wall: Callable[[], float] = time.time
) -> tuple[Step[Context] | Together[Context], ...]:
    """Return the steps of one repair, which begins now (see Survey)."""
    survey = Survey(moment, wall)
    return (
        ClockStep(survey),
        # A kubelet without a valid certificate cannot live.
        CertificateStep(survey),
        ServicesStep(survey),
        ApiStep(survey),
        NetworkStep(survey),
        Together(CredentialStep(survey), HeartbeatStep(survey)),
        TokenStep(survey),
        PodStep(survey),
    )


def repair(ctx: Context, moment: float, wall: Callable[[], float] = time.time) -> Outcome:
    """Make a cluster whole whose machines all just came back from one point in the past, `moment`.

    `wall` is the clock that the nodes are set by, the host's; both are seconds since the epoch. It may run
    again at any time: where nothing is wrong it costs the probes. Raises StepFailed, Cancelled.
    """
    try:
        return run_steps(repair_steps(moment, wall), ctx, ctx.report, clock=ctx.clock, cancel=ctx.cancel)
    except Cancelled:
        raise Cancelled("the repair was interrupted", hint=AGAIN) from None
