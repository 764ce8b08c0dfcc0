"""Finds out whether a restored cluster became healthy by itself, by asking only its API server."""

from __future__ import annotations

from collections.abc import Sequence

from provision.engine.steps import Step
from provision.errors import LabError
from provision.lab.context import Context

POLL_SECONDS = 0.3
# Seconds to wait for heartbeats, which come every two seconds, and for the API server to answer again.
PATIENCE, SCALED_PATIENCE = 5.0, 1.5


class LookStep:
    """Waits until each of `steps` is done, as long as a healthy cluster needs; changes nothing.

    The machines are as they were saved, so only the jump in time can cause problems. Asking each node by SSH
    would take longer than everything else where the CPU is emulated.
    """

    id = "look"
    title = "Check of the restored cluster"

    def __init__(self, steps: Sequence[Step[Context]]) -> None:
        self.steps = steps
        self.well = False

    def is_done(self, ctx: Context) -> bool:
        end = ctx.clock.now() + PATIENCE + ctx.scaled(SCALED_PATIENCE)
        self.well = all(_comes(step, ctx, end) for step in self.steps)
        return True

    def apply(self, ctx: Context) -> None:
        """Do nothing: the steps that follow repair what is wrong."""

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
