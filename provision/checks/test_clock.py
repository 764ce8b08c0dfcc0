"""Every node: its clock. Certificates, leases and logs are compared by it."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from provision.testing.lab import LabUnderTest
from provision.testing.node import LabNode

pytestmark = pytest.mark.quick

TOLERANCE = 1.0
SAMPLES = 3
NANO = 1_000_000_000


@dataclass(frozen=True)
class Offset:
    """How many seconds a clock is ahead of the host's: between `low` and `high`."""

    low: float
    high: float


@pytest.fixture(scope="module")
def offset(lab: LabUnderTest) -> Callable[[str], Offset]:
    """Give a node's offset by its name; each is measured once, and none while another is."""
    return functools.cache(lambda name: measure(lab.node(name)))


@pytest.mark.look("kubelab ssh {node} -- 'date; systemctl status lab-clock'")
def test_the_clock_is_within_a_second_of_the_control_plane(
    node: LabNode, lab: LabUnderTest, offset: Callable[[str], Offset]
) -> None:
    first = lab.control_plane.name
    mine, wanted = offset(node.name), offset(first)
    ahead, behind = mine.low - wanted.high, wanted.low - mine.high
    assert ahead <= TOLERANCE, f"the clock of {node.name} is {ahead:.1f} s ahead of that of {first}"
    assert behind <= TOLERANCE, f"the clock of {node.name} is {behind:.1f} s behind that of {first}"


def measure(node: LabNode) -> Offset:
    """Return the closest of a few measurements: the true offset lies within each of them."""
    samples = []
    for _ in range(SAMPLES):
        before = time.time()
        shown = int(node.check_output("date +%s%N")) / NANO
        samples.append(Offset(shown - time.time(), shown - before))
    return Offset(max(each.low for each in samples), min(each.high for each in samples))
