from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from provision.doctor import Check, Command, Host, fix
from provision.doctor.findings import Answer, bad, good
from provision.errors import LabError, ToolFailed
from tests.fakes.doctor import FakeTools, StoppedClock, Told, host
from tests.fakes.host import listening_to_ctrl_c

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def test_what_is_typed_by_hand_is_in_the_error_of_a_fix_too() -> None:
    answer = Answer("fail", "not found: go", by_hand=("sudo dnf install golang",))
    with pytest.raises(LabError, match="sudo dnf install golang"):
        fix(host(FakeTools()), Told(), [Check("x", "X", lambda _: answer)])


def test_a_line_can_be_pasted() -> None:
    command = Command(("tee", "/etc/a b"), stdin="one\nit's\n")
    assert command.line(is_root=True) == """printf '%s\\n' one 'it'"'"'s' | tee '/etc/a b'"""
    assert command.line(is_root=False).endswith("| sudo tee '/etc/a b'")


MEND = Command(("mend",))


def switch(state: dict[str, bool], *fixes: Command) -> Callable[[Host], Answer]:
    return lambda _: good("fine") if state["on"] else bad("broken", *(fixes or (MEND,)))


class MendingTools(FakeTools):
    """Whatever it runs switches `state` on."""

    state: dict[str, bool]

    def run(
        self,
        argv: Sequence[str],
        *,
        deadline: float,
        root: bool = False,
        stdin: str = "",
        on_line: Callable[[str], None] | None = None,
    ) -> str:
        answer = super().run(argv, deadline=deadline, root=root)
        self.state["on"] = True
        return answer


def test_a_second_fix_runs_nothing() -> None:
    tools = MendingTools({"mend": ""})
    tools.state = {"on": False}
    check = Check("x", "X", switch(tools.state))
    told = Told()
    assert [finding.level for finding in fix(host(tools), told, [check])] == ["ok"]
    assert tools.calls == ["root mend"]
    fix(host(tools), told, [check])
    assert tools.calls == ["root mend"]


def test_what_is_run_without_root_is_shown() -> None:
    tools = MendingTools({"mend": ""})
    tools.state = {"on": False}
    told = Told()
    fix(host(tools), told, [Check("x", "X", switch(tools.state, Command(("mend", "it"), root=False)))])
    assert tools.calls == ["mend it"]
    assert "mend it" in told.infos


def test_a_fix_that_did_not_help_is_an_error_and_not_repeated() -> None:
    tools = FakeTools({"mend": ""})
    with pytest.raises(LabError, match="X: broken"):
        fix(host(tools), Told(), [Check("x", "X", switch({"on": False}))])
    assert tools.calls == ["root mend"]


def test_what_is_to_be_run_is_asked_again_after_the_first_commands() -> None:
    tools = FakeTools({"update": "", "install": ""})
    stages = [Command(("update",)), Command(("install",))]

    def probe(_: Host) -> Answer:
        done = len(tools.calls)
        return bad("missing", stages[done]) if done < len(stages) else good("there")

    assert fix(host(tools), Told(), [Check("x", "X", probe)])[0].ok
    assert tools.calls == ["root update", "root install"]


def test_a_refused_machine_is_left_alone() -> None:
    tools = FakeTools()
    later = Check("y", "Y", switch({"on": False}))
    refusal = Check("x", "X", lambda _: bad("not this machine"), gate=True)
    with pytest.raises(LabError, match="not this machine"):
        fix(host(tools), Told(), [refusal, later])
    assert tools.calls == []


def test_a_failing_recommendation_is_a_warning_and_its_other_commands_still_run() -> None:
    tools = FakeTools({"stop": ToolFailed(["stop"], 1, ""), "start": ""})
    answer = Answer("warn", "slow", (Command(("stop",)), Command(("start",))))
    told = Told()
    assert fix(host(tools), told, [Check("x", "X", lambda _: answer)])[0].level == "warn"
    assert tools.calls == ["root stop", "root start"]
    assert "stop" in told.warnings[0]


def test_a_held_lock_is_waited_for() -> None:
    tools = FakeTools({"mend": ToolFailed(["mend"], 100, "E: Could not get lock /var/lib/apt/lists/lock")})
    clock = StoppedClock()
    with pytest.raises(LabError, match="lock") as caught:
        fix(host(tools), Told(), [Check("x", "X", switch({"on": False}))], clock)
    assert "another apt" in caught.value.hint
    assert len(tools.calls) > 100
    assert 290 < clock.time <= 300


def test_a_release_without_the_package_is_named_as_such() -> None:
    failed = ToolFailed(["apt-get"], 100, "E: Unable to locate package vagrant")
    with pytest.raises(LabError, match=r"does not package.*\n.*vagrant"):
        fix(host(FakeTools({"mend": failed})), Told(), [Check("x", "X", switch({"on": False}))])


@pytest.mark.parametrize("whole", [True, False])
def test_ctrl_c_waits_for_the_end_of_what_must_be_done_whole(whole: bool) -> None:
    done = []

    class Interrupted(FakeTools):
        def run(self, argv: Sequence[str], **_: object) -> str:  # type: ignore[override]
            signal.raise_signal(signal.SIGINT)
            done.append(argv)
            return ""

    answer = bad("broken", Command(("mend",), whole=whole), Command(("more",)))
    with listening_to_ctrl_c(), pytest.raises(KeyboardInterrupt):
        fix(host(Interrupted()), Told(), [Check("x", "X", lambda _: answer)])
    assert done == ([("mend",)] if whole else [])
