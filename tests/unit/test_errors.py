from __future__ import annotations

import pytest

from provision import errors
from provision.errors import (
    Cancelled,
    CommandFailed,
    CommandTimeout,
    ConfigError,
    LabError,
    NodesError,
    Result,
    StepFailed,
    ToolFailed,
    VerifyFailed,
    last_lines,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (LabError("x"), 1),
        (ConfigError("x"), 2),
        (errors.ConfigDrift("x"), 2),
        (VerifyFailed("x"), 3),
        (Cancelled("x"), 130),
        (errors.Fault(KeyError("x")), 70),
        (StepFailed("verify", VerifyFailed("x")), 3),
        (StepFailed("prepare", ConfigError("x")), 2),
    ],
)
def test_exit_codes(error: LabError, code: int) -> None:
    assert error.exit_code == code


def test_config_error_names_its_key() -> None:
    assert str(ConfigError("must be a number", key="workers.count")) == "workers.count: must be a number"
    assert str(ConfigError("is empty")) == "is empty"


def test_last_lines_drops_blank_lines_and_keeps_the_order() -> None:
    text = "\n".join(f"line {n}\n" for n in range(20))
    assert last_lines(text, 2) == "line 18\nline 19"
    assert last_lines("") == ""


def test_a_command_shows_stderr_and_stdout_only_if_stderr_is_empty() -> None:
    both = CommandFailed("lab-w1", "kubeadm join", Result("out", "err", 1))
    assert both.details == "err"
    assert CommandFailed("lab-w1", "kubeadm join", Result("out", " \n", 1)).details == "out"
    assert both.node == "lab-w1"
    assert str(both) == "lab-w1: `kubeadm join` ended with exit code 1"


def test_a_tool_shows_at_most_ten_lines() -> None:
    error = ToolFailed(["virsh", "define"], 1, "\n".join(str(n) for n in range(30)))
    assert error.details.splitlines() == [str(n) for n in range(20, 30)]


def test_several_nodes_are_all_told_with_their_lines() -> None:
    error = NodesError(
        {
            "lab-w1": CommandFailed("lab-w1", "a", Result("", "one\ntwo", 1), hint="do this"),
            "lab-w2": CommandTimeout("lab-w2", "b", 60, "three"),
        }
    )
    assert "2 nodes failed" in error.message
    assert "lab-w2: `b` did not end within 60 s" in error.message
    assert error.details.splitlines() == ["[lab-w1] one", "[lab-w1] two", "[lab-w2] three"]
    assert error.hint == "do this"


def test_a_failed_step_speaks_with_its_cause() -> None:
    cause = CommandFailed("lab-w1", "a", Result("", "why", 1), hint="do this")
    error = StepFailed("join", cause)
    assert (error.step_id, error.details, error.hint) == ("join", "why", "do this")
    assert str(error) == str(cause)
