"""The repair of a whole cluster, step by step."""

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
    """The steps of one repair, which begins now (see Survey); `look` asks whether they are needed."""

    def __init__(self, moment: float, wall: Callable[[], float] = time.time) -> None:
        survey = Survey(moment, wall)
        api, credentials, pods = ApiStep(survey), CredentialStep(survey), PodStep(survey)
        heartbeats = HeartbeatStep(survey)
        self.look = LookStep((heartbeats, pods))
        # An expired join token needs no node to be asked.
        self.after_look = credentials
        self.steps: tuple[Step[Context] | Together[Context], ...] = (
            ClockStep(survey),
            # A kubelet without a valid certificate cannot live.
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
    """Make a cluster whole whose machines all just came back from one point in the past, `moment`.

    `wall` is the clock that the nodes are set by, the host's; both are seconds since the epoch. With
    `good_until` the cluster was well at `moment`, and its certificates and tokens are all good until then: it
    may need no repair. So its API server is asked first, and the nodes only if it does not tell that all is
    well. It may run again at any time: where nothing is wrong it costs the probes.

    Raises StepFailed, Cancelled.
    """
    work = Repair(moment, wall)

    def run(*steps: Step[Context] | Together[Context]) -> Outcome:
        return run_steps(steps, ctx, ctx.report, clock=ctx.clock, cancel=ctx.cancel)

    try:
        if good_until is not None and good_until.timestamp() - wall() > MARGIN.total_seconds():
            run(work.look)
            if work.look.well:
                # An API server that was well a moment ago and fails now is what the rest is for.
                with contextlib.suppress(StepFailed):
                    return run(work.after_look)
            ctx.report.info("the cluster is not well by itself: looking at every node")
        return run(*work.steps)
    except Cancelled:
        raise Cancelled("the repair was interrupted", hint=AGAIN) from None
