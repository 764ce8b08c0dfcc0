"""Whether a cluster came back by itself: mostly it did, and its API server is all that has to be asked."""

from __future__ import annotations

from collections.abc import Sequence

from provision.engine.steps import Step
from provision.errors import LabError
from provision.lab.context import Context

POLL_SECONDS = 0.3
# For heartbeats, which come every two seconds, and for an API server that has to come to itself.
PATIENCE, SCALED_PATIENCE = 5.0, 1.5


class LookStep:
    """Waits for each of `steps` to be done, in all no longer than a healthy cluster needs; changes nothing.

    What is in a machine is what was saved, so only time can have upset it. To ask each node by SSH would take
    longer than all the rest where the CPU is emulated.
    """

    id = "look"
    title = "The cluster as it comes back"

    def __init__(self, steps: Sequence[Step[Context]]) -> None:
        self.steps = steps
        self.well = False

    def is_done(self, ctx: Context) -> bool:
        end = ctx.clock.now() + PATIENCE + ctx.scaled(SCALED_PATIENCE)
        self.well = all(_comes(step, ctx, end) for step in self.steps)
        return True

    def apply(self, ctx: Context) -> None:
        """There is nothing to do: what is not well is for the steps that follow."""

    def plan(self, ctx: Context) -> str:
        return "ask the API server"


def _comes(step: Step[Context], ctx: Context, end: float) -> bool:
    """Return whether a step is done before `end`, by the clock."""
    while True:
        try:
            if step.is_done(ctx):
                return True
        except LabError:
            if ctx.cancel.is_set():
                raise
        if ctx.clock.now() >= end:
            return False
        ctx.clock.sleep(POLL_SECONDS)
