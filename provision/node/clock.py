"""Measures the offset of a node's clock from the host's by round trips, as NTP does, and sets it."""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from provision.errors import LabError
from provision.node.runner import Shell, run_in

SHOW = "date +%s%N"
NANO = 1_000_000_000
SAMPLES = 3
# Nanoseconds until the year 5138: more digits are no time that a clock tells.
_TIME = re.compile(r"-?[0-9]{1,20}")
# Seconds: a round trip over an open connection to a machine that is not busy.
GOOD = 0.1

# How exactly the shell can set a clock, in seconds.
TOLERANCE = 0.1

# The offset that lab-clock measured at a save is invalid once the clock is set by others.
FORGET = "rm -f /run/kubelab-clock-ahead"

# Changes the clock by a difference instead of setting a time, so the time to start the shell does not matter.
STEP = f"""
{FORGET}
now=$(date +%s%N)
new=$((now + {{nanoseconds}}))
date -s "@$((new / 1000000000)).$(printf %09d $((new % 1000000000)))" >/dev/null
"""


@dataclass(frozen=True)
class Offset:
    """How many seconds a clock is ahead of the host's: between `low` and `high`."""

    low: float
    high: float

    @property
    def middle(self) -> float:
        """Return the most likely offset."""
        return (self.low + self.high) / 2

    def beyond(self, tolerance: float) -> bool:
        """Return whether the clock is certainly wrong by more than `tolerance` seconds."""
        return self.low > tolerance or self.high < -tolerance

    def step(self) -> str:
        """Return the script that corrects the clock by this offset."""
        return STEP.format(nanoseconds=round(-self.middle * NANO))


def measure(show: Callable[[], str], wall: Callable[[], float] = time.time) -> Offset:
    """Return the closest of a few measurements: the true offset lies within each of them.

    `show` runs SHOW on the node and returns what it prints; `wall` is the host's clock. Raises ValueError
    when that is no time.
    """
    low, high = float("-inf"), float("inf")
    for _ in range(SAMPLES):
        before = wall()
        shown = _seconds(show())
        one = shown - wall(), shown - before
        low, high = max(low, one[0]), min(high, one[1])
        if low > high:
            # The clock was set meanwhile, so the earlier measurements are invalid.
            low, high = one
        if high - low < GOOD:
            break
    return Offset(low, high)


def _seconds(said: str) -> float:
    """Return the time that a node tells, in seconds since the epoch; raises ValueError."""
    if not _TIME.fullmatch(said.strip()):
        raise ValueError(f"`{said.strip()[:40]}` is no time")
    return int(said) / NANO


def set_clock(shell: Shell, node: str, *, deadline: float, wall: Callable[[], float] = time.time) -> None:
    """Set a node's clock from the host's clock, `wall`, unless it is right."""
    show = functools.partial(run_in, shell, node, SHOW, deadline=deadline, what="read the clock")
    try:
        clock = measure(show, wall)
    except ValueError as error:
        raise LabError(f"{node}: its clock cannot be read: {error}", hint="kubelab status") from error
    if clock.beyond(TOLERANCE):
        run_in(shell, node, clock.step(), deadline=deadline, what="set the clock")
