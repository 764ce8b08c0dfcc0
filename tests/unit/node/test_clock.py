"""How far a clock is off, measured through round trips of known length, and set by a real shell."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from provision.errors import CommandFailed, LabError, Result
from provision.node.clock import NANO, SHOW, Offset, measure, set_clock
from tests.fakes.node.clock import NodeClock
from tests.fakes.node.runner import FAILED, Call, FakeRunner
from tests.fakes.node.sandbox import Sandbox

DATE = 'case $1 in +*) echo 1700000000250000000;; *) echo "$@" > set;; esac'


@dataclass
class Wire:
    """The way to a node whose clock is `ahead`; `trips` are the seconds there and back, of each question."""

    ahead: float
    trips: list[tuple[float, float]]
    now: float = 1000.0

    def wall(self) -> float:
        return self.now

    def show(self) -> str:
        there, back = self.trips.pop(0)
        shown = self.now + there + self.ahead
        self.now += there + back
        return f"{round(shown * NANO)}\n"


def test_the_closest_of_all_measurements_counts() -> None:
    # The shortest way there is that of the second question, the shortest way back that of the third.
    wire = Wire(5.0, [(2.0, 0.5), (0.1, 1.5), (0.4, 0.3)])
    found = measure(wire.show, wire.wall)
    assert found.low == pytest.approx(4.7)
    assert found.high == pytest.approx(5.1)
    assert wire.trips == []


@pytest.mark.parametrize("said", ["", "soon", "9" * 5000, "1 2", "\u0663"])
def test_a_clock_that_tells_no_time_is_an_error_that_names_its_node(said: str) -> None:
    runner = FakeRunner("lab-w1", [(SHOW, Result(said, "", 0))])
    with pytest.raises(LabError, match="lab-w1: its clock cannot be read"):
        set_clock(runner.shell(), "lab-w1", deadline=5)
    assert len(runner.calls) == 1


@pytest.mark.parametrize("ahead", [-3600.0, 0.0, 7.25])
def test_after_a_short_round_trip_nothing_more_is_asked(ahead: float) -> None:
    wire = Wire(ahead, [(0.6, 0.2), (0.02, 0.03), (9.0, 9.0)])
    found = measure(wire.show, wire.wall)
    assert wire.trips == [(9.0, 9.0)]
    assert found.low == pytest.approx(ahead - 0.03)
    assert found.high == pytest.approx(ahead + 0.02)


def test_a_clock_that_is_set_meanwhile_is_as_it_is_now() -> None:
    wire = Wire(-3600.0, [(0.5, 0.5), (0.02, 0.02)])

    def show() -> str:
        shown = wire.show()
        wire.ahead = 0.0
        return shown

    found = measure(show, wire.wall)
    assert found.low <= 0 <= found.high


def test_a_clock_is_measured_by_the_hosts() -> None:
    found = measure(lambda: f"{time.time_ns() + 60 * NANO}\n")
    assert found.low <= 60 <= found.high


@pytest.mark.parametrize(
    ("low", "high", "beyond"),
    [
        (0.51, 0.6, True),
        (0.5, 0.6, False),
        (0.4, 60.0, False),
        (-0.6, -0.51, True),
        (-0.6, -0.5, False),
        (-60.0, -0.4, False),
        (-60.0, 60.0, False),
    ],
)
def test_a_clock_is_off_only_if_all_that_it_may_be_is(low: float, high: float, beyond: bool) -> None:
    assert Offset(low, high).beyond(0.5) is beyond


@pytest.mark.parametrize(
    ("offset", "new"),
    [
        (Offset(-3.000000001, -3.000000001), "@1700000003.250000001"),
        (Offset(-3.750000001, -3.750000001), "@1700000004.000000001"),
        (Offset(0.3, 0.5), "@1699999999.850000000"),
    ],
)
def test_a_clock_is_stepped_by_the_likeliest_difference(tmp_path: Path, offset: Offset, new: str) -> None:
    node = Sandbox("lab-w1", tmp_path)
    node.program("date", DATE)
    assert node.run(offset.step()).stdout == ""
    assert (node.root / "set").read_text().split() == ["-s", new]


@pytest.mark.parametrize("ahead", [-86400.0, -1.0, 1.0, 3600.0])
def test_a_clock_that_is_off_is_set(ahead: float) -> None:
    clock = NodeClock(ahead)
    runner = FakeRunner("lab-w1", [(SHOW, clock.answer)])
    set_clock(runner.shell(), "lab-w1", deadline=20)
    assert abs(clock.ahead) < 0.5
    assert len(runner.commands("date -s")) == 1


@pytest.mark.parametrize(
    ("ahead", "trip"), [(0.09, (0.01, 0.01)), (-0.09, (0.01, 0.01)), (1.0, (2.0, 2.0)), (-1.0, (2.0, 2.0))]
)
def test_a_clock_that_may_be_right_is_left_alone(ahead: float, trip: tuple[float, float]) -> None:
    wire = Wire(ahead, [trip] * 3)

    def answer(call: Call) -> Result:
        return Result(wire.show(), "", 0)

    runner = FakeRunner("lab-w1", [("date -s", FAILED), (SHOW, answer)])
    set_clock(runner.shell(), "lab-w1", deadline=20, wall=wire.wall)
    assert runner.commands(SHOW)
    assert runner.commands("date -s") == []


@pytest.mark.parametrize(("part", "what"), [("date -s", "set the clock"), (SHOW, "read the clock")])
def test_a_clock_that_cannot_be_set_or_read_is_an_error(part: str, what: str) -> None:
    runner = FakeRunner("lab-w1", [(part, FAILED), (SHOW, NodeClock(60.0).answer)])
    with pytest.raises(CommandFailed, match=f"lab-w1: `{what}`") as caught:
        set_clock(runner.shell(), "lab-w1", deadline=20)
    assert "it went wrong" in caught.value.details
