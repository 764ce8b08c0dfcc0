from __future__ import annotations

import threading

import pytest

from provision.engine.waiting import RealClock, Within, poll_until
from provision.errors import Cancelled, ConnectFailed, LabError, WaitTimeout


class FakeClock:
    def __init__(self) -> None:
        self.time = 100.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


def test_returns_what_the_probe_found_without_a_pause() -> None:
    clock = FakeClock()
    assert poll_until(lambda: "found", what="it", deadline=5, clock=clock) == "found"
    assert clock.now() == 100.0


def test_polls_at_the_interval_until_found() -> None:
    clock = FakeClock()
    seen: list[float] = []

    def probe() -> bool:
        seen.append(clock.now())
        return len(seen) == 3

    assert poll_until(probe, what="it", deadline=60, clock=clock, interval=2)
    assert seen == [100.0, 102.0, 104.0]


def test_gives_up_at_the_deadline_and_says_what_and_why() -> None:
    clock = FakeClock()

    def probe() -> None:
        raise ConnectFailed("lab-w1", "no route")

    with pytest.raises(WaitTimeout) as caught:
        poll_until(probe, what="SSH", deadline=10, clock=clock, errors=ConnectFailed, hint="look")
    assert "SSH did not come within 10 s" in caught.value.message
    assert "no route" in caught.value.message
    assert caught.value.hint == "look"
    assert clock.now() <= 110.0


def test_an_error_that_is_not_listed_comes_through_at_once() -> None:
    clock = FakeClock()

    def probe() -> None:
        raise LabError("broken")

    with pytest.raises(LabError, match="broken"):
        poll_until(probe, what="it", deadline=10, clock=clock, errors=ConnectFailed)
    assert clock.now() == 100.0


def test_probes_once_even_if_the_deadline_is_shorter_than_the_interval() -> None:
    assert poll_until(lambda: 1, what="it", deadline=0, clock=FakeClock()) == 1


def test_cancel_ends_a_pause_at_once() -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        poll_until(lambda: None, what="it", deadline=600, clock=RealClock(cancel), interval=60)


def test_the_real_clock_runs_on() -> None:
    clock = RealClock()
    before = clock.now()
    clock.sleep(0.01)
    assert clock.now() - before >= 0.01


def test_a_part_is_given_up_with_the_whole_and_not_the_other_way_round() -> None:
    whole = threading.Event()
    part, other = Within(whole), Within(whole)
    assert not part.wait(0)
    part.set()
    assert part.wait()
    assert not (whole.is_set() or other.is_set())
    whole.set()
    assert other.is_set()
    assert other.wait()


def test_who_waits_for_a_part_hears_of_the_whole() -> None:
    whole = threading.Event()
    threading.Timer(0.01, whole.set).start()
    with pytest.raises(Cancelled):
        RealClock(Within(whole)).sleep(3600)
