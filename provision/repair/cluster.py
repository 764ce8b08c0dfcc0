"""The steps of a cluster's repair, in order."""

from __future__ import annotations

import contextlib
import datetime as dt
import time
from collections.abc import Callable

from provision.engine.steps import Outcome, Step, Together, run_steps
from provision.errors import Cancelled, StepFailed
from provision.lab.context import Context
from provision.node.certificates import MARGIN
from provision.repair.certificates import CertificateStep
from provision.repair.clocks import ClockStep
from provision.repair.credentials import CredentialStep
from provision.repair.heartbeats import HeartbeatStep
from provision.repair.look import LookStep
from provision.repair.network import NetworkStep
from provision.repair.pods import PodStep
from provision.repair.services import ApiStep, ServicesStep
from provision.repair.survey import Survey
from provision.repair.tokens import TokenStep

AGAIN = "run the same `kubelab snapshot restore` or `kubelab reset` again"


class Repair:
    """The steps of one repair, which begins now (see Survey); `look` finds out whether they are needed."""

    def __init__(self, moment: float, wall: Callable[[], float] = time.time) -> None:
        survey = Survey(moment, wall)
        api, credentials, pods = ApiStep(survey), CredentialStep(survey), PodStep(survey)
        heartbeats = HeartbeatStep(survey)
        self.look = LookStep((heartbeats, pods))
        # Expired join tokens are found by the API server alone, without asking a node.
        self.after_look = credentials
        self.steps: tuple[Step[Context] | Together[Context], ...] = (
            ClockStep(survey),
            # A kubelet does not run without a valid certificate.
            CertificateStep(survey),
            ServicesStep(survey),
            api,
            NetworkStep(survey),
            Together(credentials, heartbeats),
            TokenStep(survey),
            pods,
        )


def repair(
    ctx: Context,
    moment: float,
    wall: Callable[[], float] = time.time,
    *,
    good_until: dt.datetime | None = None,
) -> Outcome:
    """Repair a cluster whose machines were all just restored to one point in the past, `moment`.

    `wall` is the host's clock, which the nodes' clocks are set from; both are seconds since the epoch. With
    `good_until` the cluster was healthy at `moment`, and its certificates and tokens are valid until then, so
    it may need no repair: the API server is asked first, and the nodes only if it reports a problem. The
    repair may run again at any time: on a healthy cluster it only runs the probes.

    Raises StepFailed, Cancelled.
    """
    work = Repair(moment, wall)

    def run(*steps: Step[Context] | Together[Context]) -> Outcome:
        return run_steps(steps, ctx, ctx.report, clock=ctx.clock, cancel=ctx.cancel)

    try:
        if good_until is not None and good_until.timestamp() - wall() > MARGIN.total_seconds():
            run(work.look)
            if work.look.well:
                # If the API server fails after all, the full repair below deals with it.
                with contextlib.suppress(StepFailed):
                    return run(work.after_look)
            ctx.report.info("the cluster did not become healthy by itself: checking every node")
        return run(*work.steps)
    except Cancelled:
        raise Cancelled("the repair was interrupted", hint=AGAIN) from None
