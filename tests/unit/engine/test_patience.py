from __future__ import annotations

import pytest

from provision.engine.patience import Patience
from provision.errors import CommandFailed, ConnectFailed, LabError, Result
from provision.report.base import RecordingReporter
from tests.fakes.engine import FakeClock

REFUSED = CommandFailed(
    "lab-w1", "kubeadm join", Result("", "[preflight] checks\nerror: dial tcp: connection refused\n", 1)
)


class Work:
    """Fails with each of the errors in turn, then answers; `left` are the seconds it was given each time."""

    def __init__(self, *errors: LabError, takes: float = 0.0) -> None:
        self.errors = list(errors)
        self.takes = takes
        self.left: list[float] = []
        self.clock = FakeClock()
        self.report = RecordingReporter()

    def insist(self, seconds: float) -> str:
        return Patience(seconds, self.clock, self.report).insist(self._attempt, "lab-w1: kubeadm join")

    def _attempt(self, left: float) -> str:
        self.left.append(left)
        self.clock.sleep(self.takes)
        if self.errors:
            raise self.errors.pop(0)
        return "joined"


def test_what_succeeds_is_tried_once_and_nothing_is_told() -> None:
    work = Work()
    assert work.insist(60) == "joined"
    assert (work.left, work.report.events) == ([60], [])


def test_what_passes_is_tried_again_in_the_time_that_is_left_and_told_with_its_reason() -> None:
    work = Work(REFUSED, REFUSED, takes=10)
    assert work.insist(60) == "joined"
    assert work.left == [60, 48, 34]
    line = "lab-w1: kubeadm join is tried again: error: dial tcp: connection refused"
    assert [event["text"] for event in work.report.of("info")] == [line, line]


def test_the_run_log_gets_all_that_a_failed_try_said() -> None:
    work = Work(REFUSED)
    work.insist(60)
    assert work.report.of("said") == [{"source": "lab-w1", "text": REFUSED.output}]


def test_what_cannot_pass_ends_at_once() -> None:
    broken = ConnectFailed("lab-w1", "shows a host key that is not this node's")
    work = Work(REFUSED, broken)
    with pytest.raises(ConnectFailed) as caught:
        work.insist(1000)
    assert caught.value is broken
    assert len(work.left) == 2


def test_at_its_end_patience_raises_what_it_saw_last() -> None:
    work = Work(*[REFUSED] * 1000)
    with pytest.raises(CommandFailed):
        work.insist(600)
    assert work.clock.now() < 600
    # The pauses grow, or a minute of refusals would fill the screen.
    assert len(work.left) < 30


def test_without_patience_the_first_failure_is_the_last() -> None:
    work = Work(REFUSED)
    with pytest.raises(CommandFailed):
        work.insist(0)
