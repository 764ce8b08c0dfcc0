"""Whatever happens, a command ends with words and an exit code, never with a bare traceback."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import click
import pytest

from provision.cli import COMMANDS, group, main

CHECKOUT = str(Path(__file__).parents[3])
SENTENCE = "this is a fault of kubelab"
READ_LAB = "provision.lab.opening.read_lab"
# Every command, and something that it calls early.
CALLED = {
    "init": "provision.config.schema.sample",
    "render": READ_LAB,
    "up": READ_LAB,
    "import x": "provision.translation.translate.translate",
    "list": "provision.status.labs.labs_of_user",
    "status": READ_LAB,
    "verify": READ_LAB,
    "snapshot save x": READ_LAB,
    "snapshot restore x": READ_LAB,
    "snapshot delete x": READ_LAB,
    "snapshot list": READ_LAB,
    "snapshot show x": READ_LAB,
    "reset": READ_LAB,
    "ssh lab-w1": READ_LAB,
    "cp lab-w1 x": READ_LAB,
    "ssh-config": READ_LAB,
    "inventory": READ_LAB,
    "kubectl": READ_LAB,
    "kubeconfig": READ_LAB,
    "stop": READ_LAB,
    "start": READ_LAB,
    "node list": READ_LAB,
    "node add": READ_LAB,
    "node remove lab-w1": READ_LAB,
    "node drain lab-w1": READ_LAB,
    "node uncordon lab-w1": READ_LAB,
    "node stop lab-w1": READ_LAB,
    "node start lab-w1": READ_LAB,
    "node restart lab-w1": READ_LAB,
    "addon list": READ_LAB,
    "addon enable storage": READ_LAB,
    "addon disable storage": READ_LAB,
    "destroy": READ_LAB,
    "diff": READ_LAB,
    "bundle create": READ_LAB,
    "bundle show": READ_LAB,
    "box build": READ_LAB,
    "box list": "provision.host.files.cache_dir",
    "doctor": "provision.host.facts.gather",
    "logs": READ_LAB,
    "completion bash": "click.shell_completion.get_completion_class",
    "version": READ_LAB,
}
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Return what runs the whole program in a folder with a lab.yaml: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lab.yaml").write_text("name: lab\n")
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["kubelab", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, out, err

    yield call
    for number, handler in before.items():
        signal.signal(number, handler)


def raiser(error: BaseException) -> Callable[..., NoReturn]:
    def fail(*_: object, **__: object) -> NoReturn:
        raise error

    return fail


def error_event(out: str) -> dict[str, Any]:
    (event,) = [event for event in map(json.loads, out.splitlines()) if event["event"] == "error"]
    return event


def process(script: str, *arguments: str, cwd: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "PYTHONPATH": CHECKOUT},
        cwd=cwd,
        text=True,
        check=False,
        **streams,
    )


MAIN = "from provision.cli import main; main()"


def test_the_table_names_every_command() -> None:
    found = set()
    for name in COMMANDS:
        command = group.get_command(click.Context(group), name)
        leaves = getattr(command, "commands", None)
        found |= {f"{name} {leaf}" for leaf in leaves} if leaves else {name}
    arguments = re.compile(r"( lab-w1| bash| storage| x)+$")
    assert found == {arguments.sub("", call) for call in CALLED}


@pytest.mark.parametrize("call", CALLED)
def test_a_fault_in_any_command_is_told_with_its_kind_and_place(
    run: Run, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    monkeypatch.setattr(CALLED[call], raiser(KeyError("nowhere")))
    arguments = ["--file", "new.yaml"] if call in ("init", "import x") else []
    # What follows a node is the command to run there.
    name, *rest = call.split()
    before, after = ([name], rest) if name == "ssh" else ([name, *rest], [])
    code, out, err = run(*before, *arguments, *after)
    assert (code, out) == (70, "")
    line = err.splitlines()[0]
    assert "KeyError in provision.commands." in line
    assert "nowhere" in line
    assert SENTENCE in line
    assert "Traceback" not in err
    code, out, err = run(*before, "--json", *arguments, *after)
    event = error_event(out)
    assert (code, event["exit_code"], err) == (70, 70, "")
    assert "KeyError in provision.commands." in event["message"]
    code, _, err = run(*before, "--debug", *arguments, *after)
    assert (code, "Traceback (most recent call last)" in err) == (70, True)


@pytest.mark.parametrize(
    "error",
    [RuntimeError("one\nsecond line"), AssertionError(), MemoryError(), RecursionError("deep"), EOFError()],
)
def test_no_kind_of_exception_is_left_out(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(READ_LAB, raiser(error))
    code, out, err = run("status")
    assert (code, out) == (70, "")
    assert type(error).__name__ in err
    assert "second line" not in err


def test_memory_and_recursion_that_really_end(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def deeper(*arguments: object, **options: object) -> object:
        return deeper(*arguments, **options)

    monkeypatch.setattr(READ_LAB, deeper)
    code, _, err = run("status", "--debug")
    assert (code, "RecursionError" in err) == (70, True)
    monkeypatch.setattr(READ_LAB, lambda *_, **__: bytes(2**62))
    code, _, err = run("status")
    assert (code, "MemoryError" in err) == (70, True)


def test_a_fault_with_a_run_log_has_its_traceback_there(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "abcdef.0123456789abcdef"
    monkeypatch.setattr("provision.lab.opening.open_lab", raiser(ValueError(f"token {secret}")))
    code, _, err = run("destroy", "--debug")
    assert code == 70
    log = Path(".kubelab/lab/run.log").resolve()
    assert f"log: {log}" in err
    assert f"{SENTENCE}: report it with the log" in err
    text = log.read_text()
    assert "Traceback (most recent call last)" in text
    assert "ValueError in provision.commands.destroy:" in text
    assert secret not in text + err


def test_without_a_run_log_the_user_is_asked_for_the_traceback(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(READ_LAB, raiser(ValueError()))
    assert "--debug" in run("status")[2]


@pytest.mark.parametrize("flag", ["", "--json"])
def test_a_fault_before_there_is_a_reporter_is_told_too(
    run: Run, monkeypatch: pytest.MonkeyPatch, flag: str
) -> None:
    for target in ("provision.commands.common.make_reporter", "provision.cli._Lazy.get_command"):
        with monkeypatch.context() as patch:
            patch.setattr(target, raiser(TypeError("early")))
            code, out, err = run("status", *([flag] if flag else []))
        told = error_event(out)["message"] if flag else err
        assert (code, "TypeError in provision." in told, SENTENCE in told) == (70, True, True)
        assert "Traceback" not in out + err


def test_a_fault_while_options_are_read_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    command = group.get_command(click.Context(group), "status")
    assert command is not None
    monkeypatch.setattr(command.params[0], "callback", raiser(EOFError("odd")))
    code, _, err = run("status")
    assert (code, "EOFError" in err, SENTENCE in err) == (70, True, True)
    code, _, err = run("status", "--debug")
    assert "Traceback" in err


def test_a_reporter_that_fails_itself_does_not_hide_the_fault(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provision.report.tee.TeeReporter.info", raiser(ValueError("first")))
    monkeypatch.setattr("provision.report.json_events.JsonReporter.event", raiser(ValueError("second")))
    code, out, err = run("init", "--file", "new.yaml", "--json")
    assert (code, out) == (70, "")
    assert SENTENCE in err
    assert "Traceback" not in err


def test_an_exception_in_a_thread_of_its_own_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def sample() -> str:
        thread = threading.Thread(target=raiser(ValueError("in a thread")))
        thread.start()
        thread.join()
        return ""

    monkeypatch.setattr("provision.config.schema.sample", sample)
    code, _, err = run("init", "--file", "new.yaml")
    assert (code, "ValueError" in err, SENTENCE in err) == (70, True, True)
    assert "Traceback" not in err


def test_usage_errors_and_exit_codes_of_commands_are_left_alone(run: Run) -> None:
    assert run("status", "--no-such-option")[0] == 2
    assert run("snapshot", "delete")[0] == 2
    assert run("--version")[0] == 0
    assert run("ssh", "lab-w1")[0] == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_kill_and_a_lost_terminal_end_as_ctrl_c_does(
    run: Run, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setattr(READ_LAB, lambda *_, **__: signal.raise_signal(number))
    code, _, err = run("status")
    assert (code, "interrupted" in err) == (130, True)


def test_under_nohup_a_terminal_may_go_away(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def go_on(*_: object, **__: object) -> None:
        signal.raise_signal(signal.SIGHUP)
        raise ValueError("went on")

    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    monkeypatch.setattr(READ_LAB, go_on)
    assert "went on" in run("status")[2]


# --- the streams


def test_a_reader_that_goes_away_ends_the_command_quietly_as_a_shell_expects(tmp_path: Path) -> None:
    for arguments in (["--help"], ["init", "--force"], ["init", "--force", "--json"]):
        read, write = os.pipe()
        os.close(read)
        done = process(MAIN, *arguments, cwd=tmp_path, stdout=write)
        os.close(write)
        assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, ""), arguments


def test_a_broken_pipe_of_something_else_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(READ_LAB, raiser(BrokenPipeError(32, "Broken pipe")))
    code, _, err = run("status")
    assert (code, "Broken pipe" in err) == (1, True)


@pytest.mark.parametrize("arguments", [["--help"], ["init", "--force"], ["init", "--force", "--json"]])
def test_a_full_disk_under_the_output_is_one_error(tmp_path: Path, arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = process(MAIN, *arguments, cwd=tmp_path, stdout=full)
    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if "No space left" in line] == done.stderr.splitlines()
    assert done.stderr.count("No space left") == 1


@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)])
@pytest.mark.parametrize(
    "arguments", [["init", "--force"], ["init", "--force", "--json"], ["doctor", "--help"]]
)
def test_a_command_runs_without_streams(
    tmp_path: Path, closed: tuple[int, ...], arguments: list[str]
) -> None:
    shut = " ".join(f"{number}>&-" for number in closed)
    command = shlex.join([sys.executable, "-c", MAIN, *arguments])
    done = process(f"import os; os.execl('/bin/sh', 'sh', '-c', {f'exec {command} {shut}'!r})", cwd=tmp_path)
    assert (done.returncode, "Traceback" in done.stderr + done.stdout) == (0, False)


def test_completion_of_a_shell_is_kept(tmp_path: Path) -> None:
    words = {"_KUBELAB_COMPLETE": "bash_complete", "COMP_WORDS": "kubelab snap", "COMP_CWORD": "1"}
    environment = {**os.environ, **words, "PYTHONPATH": CHECKOUT}
    done = subprocess.run(
        [sys.executable, "-c", MAIN],
        env=environment,
        cwd=tmp_path,
        text=True,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "plain,snapshot\n")


def test_the_exit_codes_are_in_the_help(run: Run) -> None:
    assert "70 a fault of kubelab" in " ".join(run("--help")[1].split())
