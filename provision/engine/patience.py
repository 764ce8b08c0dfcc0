"""Trying again what failed for a reason that passes by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from provision.engine.transient import passing
from provision.errors import LabError
from provision.report.error_view import outputs

if TYPE_CHECKING:
    from provision.engine.waiting import Clock
    from provision.report.base import Reporter

T = TypeVar("T")
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 30.0


@dataclass(frozen=True)
class Patience:
    """For how many seconds something may be tried; each new try is told to `report`, with its reason."""

    seconds: float
    clock: Clock
    report: Reporter

    def insist(self, attempt: Callable[[float], T], what: str) -> T:
        """Call `attempt` with the seconds that are left until it succeeds, and return its result.

        Raises its error at once when that does not pass by itself, or when no time is left.
        """
        end = self.clock.now() + self.seconds
        pause = FIRST_PAUSE
        while True:
            try:
                return attempt(end - self.clock.now())
            except LabError as error:
                reason = passing(error)
                if not reason or self.clock.now() + pause >= end:
                    raise
                for source, text in outputs(error):
                    self.report.said(source, text)
                self.report.info(f"{what} is tried again: {reason}")
            self.clock.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
