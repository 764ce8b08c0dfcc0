from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable

import pytest

from provision.engine.steps import Outcome, Step, Together, plan_steps, run_steps
from provision.errors import (
    Cancelled,
    CommandFailed,
    ConfigDrift,
    ConfigError,
    ConnectFailed,
    LabError,
    Result,
    StepFailed,
    VerifyFailed,
)
from provision.report.base import RecordingReporter


class FakeClock:
    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


class World:
    """What the steps look at and change."""

    def __init__(self, *done: str) -> None:
        self.done = set(done)
        self.applied: list[str] = []
        self.clock = FakeClock()
        self.cancel = threading.Event()


class Fake:
    """A step that does what it is told, then is done, unless it is told otherwise."""

    def __init__(
        self,
        id: str,
        work: Callable[[World], None] = lambda world: None,
        *,
        works: bool = True,
        probe: Callable[[], None] = lambda: None,
    ) -> None:
        self.id = id
        self.title = f"Do {id}"
        self.work = work
        self.works = works
        self.probe = probe

    def is_done(self, ctx: World) -> bool:
        self.probe()
        return self.id in ctx.done

    def apply(self, ctx: World) -> None:
        ctx.applied.append(self.id)
        self.work(ctx)
        if self.works:
            ctx.done.add(self.id)

    def plan(self, ctx: World) -> str:
        return f"would do {self.id}"


class Estimated(Fake):
    def estimate(self, ctx: World) -> float | None:
        return 180.0


def fail(error: BaseException) -> Callable[..., None]:
    def work(*_: World) -> None:
        raise error

    return work


def until_cancelled(world: World) -> None:
    if not world.cancel.wait(10):
        raise AssertionError("nobody gave this up")
    raise Cancelled("given up")


def run(
    world: World,
    *steps: Step[World] | Together[World],
    reporter: RecordingReporter | None = None,
    from_id: str | None = None,
    until_id: str | None = None,
) -> Outcome:
    return run_steps(
        steps,
        world,
        reporter or RecordingReporter(),
        clock=world.clock,
        cancel=world.cancel,
        from_id=from_id,
        until_id=until_id,
    )


# --- one after the other


def test_applies_what_is_not_done_and_skips_the_rest() -> None:
    world, reporter = World("boot"), RecordingReporter()
    outcome = run(world, Fake("boot"), Fake("init"), reporter=reporter)
    assert world.applied == ["init"]
    assert (outcome.changed, outcome.skipped) == (["init"], ["boot"])
    assert [(name, fields["id"]) for name, fields in reporter.events] == [
        ("step_started", "boot"),
        ("step_skipped", "boot"),
        ("step_started", "init"),
        ("step_done", "init"),
    ]


def test_a_second_run_changes_nothing() -> None:
    world = World()
    steps = (Fake("a"), Together(Fake("b"), Fake("c")))
    run(world, *steps)
    assert run(world, *steps).changed == []
    assert sorted(world.applied) == ["a", "b", "c"]


def test_durations_are_those_of_the_clock() -> None:
    world, reporter = World(), RecordingReporter()
    outcome = run(world, Fake("a", lambda world: world.clock.sleep(7)), reporter=reporter)
    assert outcome.durations == {"a": 7.0}
    assert reporter.of("step_done") == [{"id": "a", "seconds": 7.0, "changed": True}]


def test_an_estimate_is_passed_on_if_the_step_has_one() -> None:
    reporter = RecordingReporter()
    run(World(), Estimated("a"), Fake("b"), reporter=reporter)
    assert [fields["estimate"] for fields in reporter.of("step_started")] == [180.0, None]


def test_a_step_that_is_still_not_done_after_its_work_has_failed() -> None:
    world = World()
    with pytest.raises(StepFailed, match="Do a") as caught:
        run(world, Fake("a", works=False), Fake("b"))
    assert caught.value.step_id == "a"
    assert "--from a" in caught.value.hint
    assert world.applied == ["a"]


def test_work_that_shows_a_little_later_is_done_and_not_repeated() -> None:
    world, asked = World(), []

    class Late(Fake):
        def is_done(self, ctx: World) -> bool:
            asked.append(ctx.clock.time)
            return super().is_done(ctx) and len(asked) > 3

    assert run(world, Late("a")).changed == ["a"]
    assert world.applied == ["a"]
    assert asked == [0.0, 0.0, 2.0, 4.0]


def test_a_failure_carries_step_details_hint_and_exit_code() -> None:
    reporter = RecordingReporter()
    error = CommandFailed("lab-cp1", "kubeadm init", Result("", "why", 1), hint="look there")
    with pytest.raises(StepFailed) as caught:
        run(World(), Fake("init", fail(error)), reporter=reporter)
    assert (caught.value.step_id, caught.value.details, caught.value.hint) == ("init", "why", "look there")
    assert caught.value.__cause__ is error
    assert reporter.of("step_failed")[0]["error"] is error
    with pytest.raises(StepFailed) as red:
        run(World(), Fake("verify", fail(VerifyFailed("red"))))
    assert red.value.exit_code == 3


class Patient(Fake):
    def patience(self, ctx: World) -> float:
        return 600.0


REFUSED = ConnectFailed("lab-cp1", "no SSH connection: connection refused")


def fail_times(times: int, error: LabError) -> Callable[..., None]:
    """Return work, or a probe, that fails so many times and then ends well."""
    left = [error] * times

    def work(*_: World) -> None:
        if left:
            raise left.pop()

    return work


def test_a_patient_step_is_tried_again_when_it_failed_in_passing() -> None:
    world, reporter = World(), RecordingReporter()
    outcome = run(world, Patient("a", fail_times(2, REFUSED)), reporter=reporter)
    assert (outcome.changed, world.applied) == (["a"], ["a", "a", "a"])
    assert [event["text"] for event in reporter.of("info")] == [f"Do a is tried again: {REFUSED}"] * 2


def test_a_question_that_fails_in_passing_is_asked_again_before_and_after_the_work() -> None:
    world = World()
    step = Patient("a", probe=fail_times(1, REFUSED))

    def work(world: World) -> None:
        step.probe = fail_times(3, REFUSED)

    step.work = work
    assert run(world, step).changed == ["a"]
    assert world.applied == ["a"]


def test_a_patient_step_fails_at_once_for_a_reason_that_stays() -> None:
    world = World()
    with pytest.raises(StepFailed):
        run(world, Patient("a", fail(LabError("no such option"))))
    assert world.applied == ["a"]
    assert world.clock.now() == 0


def test_what_one_try_brought_about_counts_though_another_failed() -> None:
    world = World()

    def work(world: World) -> None:
        world.done.add("a")
        raise REFUSED

    assert run(world, Patient("a", work)).changed == ["a"]


def test_a_probe_that_fails_fails_its_step() -> None:
    with pytest.raises(StepFailed, match="no route"):
        run(World(), Fake("a", probe=fail(ConnectFailed("lab-cp1", "no route"))))


def test_an_error_nobody_expected_comes_through_as_it_is() -> None:
    reporter = RecordingReporter()
    with pytest.raises(ZeroDivisionError):
        run(World(), Fake("a", lambda _: print(1 // 0)), reporter=reporter)
    assert len(reporter.of("step_failed")) == 1


# --- interruption


def test_ctrl_c_becomes_cancelled_and_a_rerun_resumes() -> None:
    world, reporter = World(), RecordingReporter()
    with pytest.raises(Cancelled, match="interrupted") as caught:
        run(world, Fake("a"), Fake("b", fail(KeyboardInterrupt())), Fake("c"), reporter=reporter)
    assert "kubelab up" in caught.value.hint
    assert caught.value.exit_code == 130
    assert world.cancel.is_set()
    assert isinstance(reporter.of("step_failed")[0]["error"], Cancelled)
    world.cancel = threading.Event()
    assert run(world, Fake("a"), Fake("b"), Fake("c")).changed == ["b", "c"]


def test_cancelled_is_not_made_a_failure() -> None:
    with pytest.raises(Cancelled):
        run(World(), Fake("a", fail(Cancelled("given up"))))


def test_nothing_begins_once_the_run_is_given_up() -> None:
    world = World()
    world.cancel.set()
    with pytest.raises(Cancelled):
        run(world, Fake("a"))
    assert world.applied == []


# --- groups


def test_the_members_of_a_group_run_at_once() -> None:
    meeting = threading.Barrier(3, timeout=10)
    world = World()
    members = [Fake(id, lambda _: print(meeting.wait())) for id in "abc"]
    outcome = run(world, Together(*members), Fake("d"))
    assert outcome.changed == ["a", "b", "c", "d"]
    assert world.applied[-1] == "d"


def test_a_failing_member_stops_the_others_and_is_the_one_told() -> None:
    world, reporter = World(), RecordingReporter()
    group = Together(Fake("init", until_cancelled), Fake("join", fail(LabError("broken"))))
    with pytest.raises(StepFailed, match="broken") as caught:
        run(world, group, Fake("later"), reporter=reporter)
    assert caught.value.step_id == "join"
    assert "later" not in world.applied
    assert {fields["id"] for fields in reporter.of("step_failed")} == {"init", "join"}


def test_of_several_failures_the_first_in_time_is_told() -> None:
    def second(world: World) -> None:
        world.cancel.wait(10)
        raise LabError("consequence")

    with pytest.raises(StepFailed, match="cause"):
        run(World(), Together(Fake("a", second), Fake("b", fail(LabError("cause")))))


def test_a_fault_in_a_thread_comes_out_with_its_traceback() -> None:
    def deep(_: World) -> None:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug") as caught:
        run(World(), Together(Fake("a", until_cancelled), Fake("b", deep)))
    assert "deep" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]


def test_a_finished_member_of_a_failed_group_is_not_done_again() -> None:
    world = World()
    first = threading.Event()

    def after_first(_: World) -> None:
        first.wait(10)
        raise LabError("broken")

    with pytest.raises(StepFailed):
        run(world, Together(Fake("a", lambda _: first.set()), Fake("b", after_first)))
    world.cancel = threading.Event()
    assert run(world, Together(Fake("a"), Fake("b"))).changed == ["b"]


# --- a part of the steps

STEPS = (Fake("boot"), Together(Fake("init"), Fake("join")), Fake("verify"))


@pytest.mark.parametrize(
    ("first", "last", "applied"),
    [
        ("join", None, ["join", "verify"]),
        (None, "init", ["boot", "init"]),
        ("init", "join", ["init", "join"]),
        ("verify", "verify", ["verify"]),
    ],
)
def test_from_and_until(first: str | None, last: str | None, applied: list[str]) -> None:
    world = World()
    run(world, *STEPS, from_id=first, until_id=last)
    assert sorted(world.applied) == sorted(applied)


def test_an_unknown_step_is_refused_with_the_nearest() -> None:
    world = World()
    with pytest.raises(ConfigError, match="did you mean verify") as caught:
        run(world, *STEPS, until_id="verfiy")
    assert caught.value.key == "--until"
    assert "boot, init, join, verify" in caught.value.hint
    assert world.applied == []


def test_until_before_from_is_refused() -> None:
    with pytest.raises(ConfigError, match="init comes before --from verify"):
        run(World(), *STEPS, from_id="verify", until_id="init")


# --- dry run


def test_a_plan_changes_nothing_and_says_what_would_happen() -> None:
    world = World("boot")
    planned = plan_steps(STEPS, world)
    assert [tuple(step) for step in planned[:2]] == [
        ("boot", "Do boot", True, ""),
        ("init", "Do init", False, "would do init"),
    ]
    assert world.applied == []
    assert [step.id for step in plan_steps(STEPS, world, from_id="join")] == ["join", "verify"]


def test_a_plan_takes_a_vm_that_is_not_there_for_work_to_do() -> None:
    step = Fake("a", probe=fail(ConnectFailed("lab-cp1", "no such VM")))
    assert plan_steps([step], World())[0].done is False


def test_a_plan_refuses_what_a_run_would_refuse() -> None:
    with pytest.raises(ConfigDrift):
        plan_steps([Fake("a", probe=fail(ConfigDrift("cannot change")))], World())


def test_the_engine_costs_next_to_nothing() -> None:
    began = time.perf_counter()
    run(World(), Together(*(Fake(f"n{number}") for number in range(100))))
    assert time.perf_counter() - began < 2.0
