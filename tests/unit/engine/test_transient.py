"""What passes by itself, in the words of the tools: see failures.txt."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from provision.engine.transient import passing, passing_line
from provision.errors import (
    Cancelled,
    CommandFailed,
    CommandTimeout,
    ConfigError,
    ConnectFailed,
    LabError,
    NodesError,
    Result,
    ToolFailed,
    VagrantError,
    WaitTimeout,
)

TABLE = Path(__file__).with_name("failures.txt").read_text()
CASES = [
    (mark == "+", text.replace("\n| ", "\n"))
    for mark, text in re.findall(r"^([+-]) ((?:.|\n\| )*)$", TABLE, re.MULTILINE)
]
REFUSED = "connection refused"


@pytest.mark.parametrize(("passes", "printed"), CASES)
def test_the_table_of_outputs(passes: bool, printed: str) -> None:
    assert bool(passing_line(printed)) == passes


def test_the_table_holds_both_kinds() -> None:
    kinds = [passes for passes, _ in CASES]
    assert kinds.count(True) >= 20
    assert kinds.count(False) >= 20


def failed(node: str, stderr: str) -> CommandFailed:
    return CommandFailed(node, "kubeadm join", Result("", stderr, 1))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (failed("lab-w1", f"error: {REFUSED}\n"), f"error: {REFUSED}"),
        (ToolFailed(["kubectl"], 1, REFUSED), REFUSED),
        (
            CommandTimeout("lab-w1", "probe", 30, "error: unknown flag"),
            "lab-w1: `probe` did not end within 30 s",
        ),
        (ConnectFailed("lab-w1", "no SSH connection: timed out"), "lab-w1: no SSH connection: timed out"),
        (NodesError({"lab-w1": failed("lab-w1", REFUSED), "lab-w2": failed("lab-w2", REFUSED)}), REFUSED),
        (NodesError({"lab-w1": failed("lab-w1", REFUSED), "lab-w2": failed("lab-w2", "no")}), ""),
        (ConnectFailed("lab-w1", "the machine at 10.0.0.1 shows a host key that is not this node's"), ""),
        (VagrantError(["vagrant"], 1, "Timed out while waiting for the machine to boot"), ""),
        (WaitTimeout(f"it did not come within 60 s (last: {REFUSED})"), ""),
        (ConfigError(REFUSED), ""),
        (Cancelled(REFUSED), ""),
        (LabError(REFUSED), ""),
    ],
)
def test_which_error_is_asked_for_which_words(error: LabError, reason: str) -> None:
    assert passing(error) == reason
