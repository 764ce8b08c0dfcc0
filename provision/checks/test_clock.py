"""Every node: its clock. Certificates, leases and logs are compared by it."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest

from provision.clock_offset import SHOW, Offset, measure
from provision.testing.lab import LabUnderTest
from provision.testing.node import LabNode

pytestmark = pytest.mark.quick

TOLERANCE = 1.0


@pytest.fixture(scope="module")
def offset(lab: LabUnderTest) -> Callable[[str], Offset]:
    """Give a node's offset by its name; each is measured once, and none while another is."""
    return functools.cache(lambda name: measure(lambda: str(lab.node(name).check_output(SHOW))))


@pytest.mark.look("kubelab ssh {node} -- 'date; systemctl status lab-clock'")
def test_the_clock_is_within_a_second_of_the_control_plane(
    node: LabNode, lab: LabUnderTest, offset: Callable[[str], Offset]
) -> None:
    first = lab.control_plane.name
    mine, wanted = offset(node.name), offset(first)
    ahead, behind = mine.low - wanted.high, wanted.low - mine.high
    assert ahead <= TOLERANCE, f"the clock of {node.name} is {ahead:.1f} s ahead of that of {first}"
    assert behind <= TOLERANCE, f"the clock of {node.name} is {behind:.1f} s behind that of {first}"
