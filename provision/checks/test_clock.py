"""Every node's clock: certificates, leases and logs depend on it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest

from provision.engine.waiting import poll_until
from provision.errors import WaitTimeout
from provision.node.clock import SHOW, Offset, measure
from provision.testing.lab import LabUnderTest
from provision.testing.node import LabNode

pytestmark = pytest.mark.quick

TOLERANCE = 1.0
# A machine that was paused for a save sets its clock by itself right after it resumes.
SETTLE_SECONDS = 1.0


@pytest.fixture(scope="module")
def offset(lab: LabUnderTest) -> Callable[[str], Offset]:
    """A function that returns the clock offset of a node, given its name."""
    return lambda name: measure(lambda: str(lab.node(name).check_output(SHOW)))


@pytest.mark.look("kubelab ssh {node} -- 'date; systemctl status lab-clock'")
def test_the_clock_is_within_a_second_of_the_control_plane(
    node: LabNode, lab: LabUnderTest, offset: Callable[[str], Offset]
) -> None:
    first = lab.control_plane.name
    apart: list[Offset] = []

    def right() -> bool:
        mine, wanted = offset(node.name), offset(first)
        apart.append(Offset(mine.low - wanted.high, mine.high - wanted.low))
        return not apart[-1].beyond(TOLERANCE)

    with contextlib.suppress(WaitTimeout):
        poll_until(right, what="the time", deadline=lab.scaled(SETTLE_SECONDS), clock=lab.context.clock)
    ahead, behind = apart[-1].low, -apart[-1].high
    assert ahead <= TOLERANCE, f"the clock of {node.name} is {ahead:.1f} s ahead of that of {first}"
    assert behind <= TOLERANCE, f"the clock of {node.name} is {behind:.1f} s behind that of {first}"
