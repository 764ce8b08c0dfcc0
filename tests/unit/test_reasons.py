"""What tools really print when they fail, and which of it a person is shown: see outputs.txt."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.errors import CommandFailed, Result, ToolFailed, VagrantError
from provision.reasons import SHOWN, why

OUTPUTS = Path(__file__).with_name("outputs.txt").read_text()
CASES = {
    name: tuple(text.strip("\n") for text in case.split("\n---\n"))
    for name, _, case in (part.partition("\n") for part in OUTPUTS.split("=== ")[1:])
}


@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith("vagrant")])
def test_a_tools_own_reason_is_shown(name: str) -> None:
    printed, shown = CASES[name]
    assert ToolFailed(["tool"], 1, printed).details == shown
    assert CommandFailed("lab-w1", "it", Result("", printed, 1)).details == shown


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("vagrant")])
def test_vagrants_message_is_shown_whole_and_without_its_frames(name: str) -> None:
    printed, shown = CASES[name]
    assert VagrantError(["vagrant", "up"], 1, printed).details == shown


def test_there_are_thirty_of_them() -> None:
    assert len(CASES) >= 30


def test_colours_are_left_out() -> None:
    assert why("\x1b[1;31m\t[ERROR Swap]: swap is on\x1b[0m\n") == "[ERROR Swap]: swap is on"


def test_of_nothing_nothing_is_shown() -> None:
    assert why("\n \n") == ""


def test_of_many_errors_the_first_are_shown_and_of_other_output_the_last() -> None:
    numbers = range(3 * SHOWN)
    errors = why("\n".join(f"m.go:{n}:1: undefined: x" for n in numbers)).splitlines()
    assert (errors[0], len(errors)) == ("m.go:0:1: undefined: x", SHOWN)
    others = why("\n".join(f"line {n}" for n in numbers)).splitlines()
    assert (others[-1], len(others)) == (f"line {numbers[-1]}", SHOWN)
