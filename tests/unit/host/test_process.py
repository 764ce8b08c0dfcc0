from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from provision.errors import Cancelled, LabError, MissingTool, ToolFailed
from provision.host.process import run_tool


def sh(script: str, deadline: float = 10, **options: object) -> str:
    return run_tool(["sh", "-c", script], deadline=deadline, **options)  # type: ignore[arg-type]


def alive(pid: int) -> bool:
    """Return whether a process runs; one that ended but was not yet collected does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def gone_soon(pid: int) -> bool:
    end = time.monotonic() + 3
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.01)
    return not alive(pid)


def test_returns_standard_output_alone() -> None:
    assert sh("echo out; echo err >&2") == "out\n"


def test_every_line_of_both_streams_is_seen() -> None:
    seen: list[str] = []
    sh("echo one; echo two >&2; printf three", on_line=seen.append)
    assert sorted(seen) == ["one", "three", "two"]


def test_stdin_environment_and_folder_reach_the_program(tmp_path: Path) -> None:
    out = sh('cat; echo "$LAB"; pwd', stdin="secret\n", env={"LAB": "lab"}, cwd=tmp_path)
    assert out.splitlines() == ["secret", "lab", str(tmp_path)]


def test_a_program_that_reads_no_stdin_is_no_trouble() -> None:
    assert sh("exit 0", stdin="x" * 1_000_000) == ""


def test_both_streams_are_drained_at_once() -> None:
    script = "import sys\nfor _ in range(3000): sys.stderr.write('e' * 99 + '\\n')\nprint('end')"
    assert run_tool([sys.executable, "-c", script], deadline=20) == "end\n"


def test_output_that_is_no_utf8_is_kept() -> None:
    assert "a" in sh(r"printf 'a\377\n'")


def test_a_failure_carries_code_argv_and_last_lines() -> None:
    with pytest.raises(ToolFailed) as caught:
        sh("echo first; echo no space left >&2; exit 3", hint="free some")
    assert caught.value.code == 3
    assert "no space left" in caught.value.details
    assert caught.value.argv[0] == "sh"
    assert caught.value.hint == "free some"


def test_the_reason_is_not_lost_in_what_it_printed_besides() -> None:
    with pytest.raises(ToolFailed) as caught:
        sh("echo 'refused' >&2; seq 1000; exit 1")
    assert caught.value.output == "refused\n"
    with pytest.raises(ToolFailed) as caught:
        sh("echo 'all that it says'; exit 1")
    assert caught.value.output == "all that it says\n"


def test_a_missing_program_is_named() -> None:
    with pytest.raises(MissingTool, match="no-such-program"):
        run_tool(["no-such-program"], deadline=1)


def test_a_missing_folder_is_not_taken_for_a_missing_program(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="gone") as caught:
        sh("true", cwd=tmp_path / "gone")
    assert not isinstance(caught.value, MissingTool)


def test_a_file_that_cannot_be_run_is_an_error_for_people(tmp_path: Path) -> None:
    program = tmp_path / "tool"
    program.write_text("text")
    with pytest.raises(ToolFailed) as caught:
        run_tool([str(program)], deadline=1)
    assert "could not be started" in caught.value.details


@pytest.mark.parametrize("script", ["yes", "cat /dev/zero", "yes >&2"])
def test_a_program_that_never_stops_talking_is_ended(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    monkeypatch.setattr("provision.host.process.MOST_SAID", 2**20)
    with pytest.raises(ToolFailed, match="ended with exit code 125") as caught:
        sh(f"echo why >&2; exec {script}", deadline=60)
    assert "it said more than 1 MiB" in caught.value.output


def test_a_long_line_is_returned_whole() -> None:
    assert len(sh("head -c 3000000 /dev/zero")) == 3_000_000


def test_the_deadline_ends_the_whole_group(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    began = time.monotonic()
    with pytest.raises(ToolFailed, match="exit code 124") as caught:
        sh(f"sleep 60 & echo $! > {pid_file}; echo working; wait", deadline=0.25)
    assert time.monotonic() - began < 4
    assert "working" in caught.value.details
    assert "did not end within" in caught.value.details
    assert gone_soon(int(pid_file.read_text()))


def test_a_child_that_ignores_the_polite_signal_is_ended_too(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    child = f"trap '' TERM; echo $$ > {pid_file}; while :; do sleep 0.05; done"
    with pytest.raises(ToolFailed):
        run_tool(["sh", "-c", 'sh -c "$0" & wait', child], deadline=0.3)
    assert gone_soon(int(pid_file.read_text()))


def test_the_deadline_holds_for_a_program_that_closed_its_streams() -> None:
    began = time.monotonic()
    with pytest.raises(ToolFailed, match="exit code 124"):
        sh("exec >&- 2>&-; exec sleep 60", deadline=0.25)
    assert time.monotonic() - began < 4


def test_what_a_program_leaves_in_the_background_is_neither_awaited_nor_ended(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    began = time.monotonic()
    try:
        assert sh(f"sleep 60 & echo $! > {pid_file}; echo ready", deadline=30) == "ready\n"
        assert time.monotonic() - began < 10
        assert alive(int(pid_file.read_text()))
    finally:
        os.kill(int(pid_file.read_text()), signal.SIGKILL)


def test_cancel_ends_the_program() -> None:
    cancel = threading.Event()
    with pytest.raises(Cancelled, match="sh"):
        sh("echo ready; sleep 60", cancel=cancel, on_line=lambda _: cancel.set())


def test_ctrl_c_ends_the_program(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"

    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sh(f"echo $$ > {pid_file}; echo ready; sleep 60", on_line=interrupt)
    assert gone_soon(int(pid_file.read_text()))


def test_a_program_has_its_grace_to_end_by_itself_and_no_more(tmp_path: Path) -> None:
    told: list[str] = []
    wait = "echo ready; while :; do sleep 0.05; done"
    with pytest.raises(ToolFailed):
        sh(
            f"trap 'touch {tmp_path}/tidy; exit 1' TERM; {wait}",
            deadline=0.25,
            on_end=lambda: told.append("end"),
        )
    assert (tmp_path / "tidy").exists()
    assert told == ["end"]
    began = time.monotonic()
    with pytest.raises(ToolFailed):
        sh(f"trap '' TERM; {wait}", deadline=0.25, grace=0.1)
    assert time.monotonic() - began < 4


def test_a_second_ctrl_c_cuts_the_grace_short(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"

    def interrupt(*unused: object) -> None:
        raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        sh(
            f"trap '' TERM; echo $$ > {pid_file}; echo ready; while :; do sleep 0.05; done",
            on_line=interrupt,
            on_end=interrupt,
            grace=60,
        )
    assert time.monotonic() - began < 10
    assert gone_soon(int(pid_file.read_text()))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a program that its parent is gone")
def test_a_program_ends_with_a_kubelab_that_is_killed(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    code = f"""
from provision.host.process import run_tool
script = "trap '' TERM; echo $$ > {pid_file}.new; mv {pid_file}.new {pid_file}; exec sleep 60"
run_tool(["sh", "-c", script], deadline=60)
"""
    parent = subprocess.Popen([sys.executable, "-c", code])
    try:
        end = time.monotonic() + 30
        while not pid_file.exists():
            assert time.monotonic() < end
            time.sleep(0.01)
    finally:
        parent.kill()
        parent.wait()
    assert gone_soon(int(pid_file.read_text()))


def test_what_ended_by_itself_is_not_ended(tmp_path: Path) -> None:
    told: list[str] = []
    assert sh("echo done", on_end=lambda: told.append("end")) == "done\n"
    assert told == []
