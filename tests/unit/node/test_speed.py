from __future__ import annotations

import subprocess

import pytest

from provision.node.speed import MEASURE, SLOWEST, USUAL_MILLISECONDS, VARIABLE, Pace


def test_the_measure_says_how_long_it_took() -> None:
    done = subprocess.run(["/bin/sh", "-eu"], input=MEASURE, capture_output=True, text=True, check=True)
    word, milliseconds = done.stdout.split()
    assert word == "speed"
    assert int(milliseconds) >= 0


@pytest.mark.parametrize(
    ("milliseconds", "factor", "slowness"),
    [
        (USUAL_MILLISECONDS, 1, 1.0),
        # A machine that is faster than usual is not waited for any less.
        (USUAL_MILLISECONDS / 2, 1, 1.0),
        (USUAL_MILLISECONDS * 2, 1, 2.0),
        # Where the CPU is emulated everything takes longer as it is.
        (USUAL_MILLISECONDS * 10, 10, 1.0),
        (USUAL_MILLISECONDS * 25, 10, 2.5),
        (USUAL_MILLISECONDS * 1000, 1, SLOWEST),
    ],
)
def test_how_slow_a_machine_is(milliseconds: float, factor: float, slowness: float) -> None:
    pace = Pace()
    pace.note(f"speed {int(milliseconds)}\nother output\n", factor)
    assert pace.slowness == slowness


def test_another_process_of_the_run_takes_over_what_was_measured() -> None:
    measured, other = Pace(), Pace()
    measured.note("speed 25\n", 1)
    other.take(measured.environment)
    assert other.slowness == 2.5


@pytest.mark.parametrize("value", ["", "fast", "inf", "-2.0"])
def test_what_is_no_measure_is_not_taken(value: str) -> None:
    pace = Pace()
    pace.take({VARIABLE: value})
    pace.take({})
    assert pace.slowness == 1.0


def test_the_slowest_machine_counts_and_what_was_not_measured_does_not() -> None:
    pace = Pace()
    for output in ("speed 20\n", "speed 10\n", "", "speed unknown\n", "full speed 90\n"):
        pace.note(output, 1)
    assert pace.slowness == 2.0
