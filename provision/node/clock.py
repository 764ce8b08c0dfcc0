"""How far a node's clock is from the host's, measured as network time protocols do: by round trips."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass

from provision.node.runner import Shell, run_in

SHOW = "date +%s%N"
NANO = 1_000_000_000
SAMPLES = 3
# A round trip over a connection that is open, on a machine that is not busy.
GOOD = 0.1

# A step by the shell is itself this exact, in seconds.
TOLERANCE = 0.1

# What a node's clock keeper measured at a save says nothing once somebody else sets one of the two clocks.
FORGET = "rm -f /run/kubelab-clock-ahead"

# By a difference, not to a time: however long the shell took to start, it is right.
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
        """Return the likeliest offset."""
        return (self.low + self.high) / 2

    def beyond(self, tolerance: float) -> bool:
        """Return whether the clock is certainly off by more than `tolerance` seconds."""
        return self.low > tolerance or self.high < -tolerance

    def step(self) -> str:
        """Return the script that steps the clock by what it is off."""
        return STEP.format(nanoseconds=round(-self.middle * NANO))


def measure(show: Callable[[], str], wall: Callable[[], float] = time.time) -> Offset:
    """Return the closest of a few measurements: the true offset lies within each of them.

    `show` runs SHOW on the node and returns what it prints; `wall` is the host's clock.
    """
    low, high = float("-inf"), float("inf")
    for _ in range(SAMPLES):
        before = wall()
        shown = int(show()) / NANO
        one = shown - wall(), shown - before
        low, high = max(low, one[0]), min(high, one[1])
        if low > high:
            # The node set its clock meanwhile: what was measured before says nothing any more.
            low, high = one
        if high - low < GOOD:
            break
    return Offset(low, high)


def set_clock(shell: Shell, node: str, *, deadline: float, wall: Callable[[], float] = time.time) -> None:
    """Set a node's clock by the host's, `wall`, unless it is right."""
    show = functools.partial(run_in, shell, node, SHOW, deadline=deadline, what="read the clock")
    clock = measure(show, wall)
    if clock.beyond(TOLERANCE):
        run_in(shell, node, clock.step(), deadline=deadline, what="set the clock")
