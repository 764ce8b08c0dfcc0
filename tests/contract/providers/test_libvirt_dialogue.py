"""Programs that are asked line by line."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from provision.errors import MissingTool, ToolFailed
from provision.providers.libvirt.dialogue import Answer, Dialogue, ask_all

ECHO = "while read -r line; do printf '%s\\n<end>' \"$line\"; done"


@contextlib.contextmanager
def talk(**scripts: str) -> Iterator[dict[str, Dialogue]]:
    """Start one shell a script."""
    with contextlib.ExitStack() as stack:
        yield {
            name: stack.enter_context(Dialogue(["sh", "-c", script], "<end>", {}))
            for name, script in scripts.items()
        }


def ask(dialogues: dict[str, Dialogue], line: str, deadline: float = 20.0) -> dict[str, Answer]:
    return ask_all(dialogues, dict.fromkeys(dialogues, line), deadline=deadline, cancel=Event())


def test_everyone_answers_again_and_again() -> None:
    with talk(a=ECHO, b=ECHO) as dialogues:
        first = ask(dialogues, "one")
        assert {name: answer.text for name, answer in first.items()} == {"a": "one\n", "b": "one\n"}
        second = ask(dialogues, "two")
        assert second["a"].text == "two\n"
        assert second["a"].moment > first["a"].moment


def test_an_answer_may_come_in_pieces_and_on_either_stream() -> None:
    with talk(a="read -r line; printf 'on'; printf 'e <e' >&2; printf 'nd>'; read -r line") as dialogues:
        assert ask(dialogues, "x")["a"].text == "one "


def test_a_program_that_ends_is_told_with_what_it_said() -> None:
    with (
        talk(a=ECHO, b="read -r line; echo 'cannot connect'") as dialogues,
        pytest.raises(ToolFailed) as caught,
    ):
        ask(dialogues, "x")
    assert "cannot connect\nit ended before it answered" in caught.value.details


def test_a_program_that_was_gone_before_is_told() -> None:
    with talk(a="exec true") as dialogues:
        dialogues["a"].process.wait()
        with pytest.raises(ToolFailed):
            ask(dialogues, "x")


def test_a_late_answer_is_named_and_the_program_is_ended() -> None:
    with talk(a=ECHO, b="read -r line; exec cat") as dialogues:
        with pytest.raises(ToolFailed, match="sh -c") as caught:
            ask(dialogues, "x", deadline=0.3)
        assert "within 0 s" in caught.value.details
        late = dialogues["b"].process
    assert late.returncode == -9


def test_a_missing_program_is_named() -> None:
    with pytest.raises(MissingTool, match="no-such-program"):
        Dialogue(["no-such-program"], "<end>", {})


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a program that its parent is gone")
def test_a_program_ends_with_the_process_that_started_it() -> None:
    script = (
        "import sys\nfrom provision.providers.libvirt.dialogue import Dialogue\n"
        "loop = 'trap \"\" TERM HUP; echo ready; while :; do sleep 0.05; done'\n"
        "talk = Dialogue(['sh', '-c', loop], '<end>', {})\n"
        # Until then it may not have been told yet whom to end with.
        "talk.process.stdout.read(1)\n"
        "print(talk.process.pid, flush=True)\nsys.stdin.read()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert parent.stdout is not None and parent.stdin is not None
    pid = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    parent.stdin.close()
    gone = Path(f"/proc/{pid}/stat")
    for _ in range(200):
        if not gone.exists() or gone.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        Event().wait(0.05)
    os.kill(pid, signal.SIGKILL)
    raise AssertionError("it runs on")
