"""Commands that need root, through a `sudo` which really makes its command another user's."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from provision.errors import Cancelled, LabError, MissingTool, ToolFailed
from provision.host import root
from provision.host.root import run_as_root

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a setuid program")

USER = 65534
# Runs its arguments as root, with the stand-in for sudo first on PATH; at the line "late" time has passed.
PROGRAM = """
import signal, sys, types
from provision.host import process
from provision.host.root import run_as_root

def seen(line):
    if line == "late":
        process.time = types.SimpleNamespace(monotonic=lambda: 1e12)

def end(*unused):
    raise KeyboardInterrupt

signal.signal(signal.SIGTERM, end)
said = []
try:
    out = run_as_root(sys.argv[1:], say=said.append, deadline=600, on_line=seen)
    print("out", repr(out), flush=True)
except BaseException as error:
    print(type(error).__name__, repr(str(error)), flush=True)
print(said, flush=True)
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone_soon(pid: int) -> bool:
    end = time.monotonic() + 60
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.01)
    return not alive(pid)


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a folder of everybody's, with a setuid `sudo` in bin/; the usual ones may allow none."""
    setpriv = shutil.which("setpriv")
    assert setpriv is not None
    made = Path(tempfile.mkdtemp(prefix="kubelab-test-", dir="/var/tmp"))
    if os.statvfs(made).f_flag & os.ST_NOSUID:
        made.rmdir()
        pytest.skip("no setuid programs in /var/tmp")
    programs = made / "bin"
    programs.mkdir()
    raised = programs / "as-root"
    shutil.copy(setpriv, raised)
    raised.chmod(0o4755)
    sudo = programs / "sudo"
    sudo.write_text(f'#!/bin/sh\nshift\nexec {raised} --reuid 0 --regid 0 --clear-groups -- "$@"\n')
    sudo.chmod(0o755)
    (made / "program.py").write_text(PROGRAM)
    made.chmod(0o777)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    yield made
    shutil.rmtree(made)


def start(folder: Path, script: str, user: int = USER) -> subprocess.Popen[str]:
    """Run a script through run_as_root in a process of `user`, an ordinary one or root."""
    argv = [sys.executable, "-B", str(folder / "program.py"), "sh", "-c", script]
    lowered = ["setpriv", "--reuid", str(user), "--regid", str(user), "--clear-groups", "--", *argv]
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    return subprocess.Popen(lowered, env=environment, stdout=subprocess.PIPE, text=True, cwd=folder)


def running(folder: Path) -> int:
    """Return the process id that the script writes into the file `pid`, once it did."""
    end = time.monotonic() + 60
    file = folder / "pid"
    while not (file.exists() and file.read_text().strip()):
        assert time.monotonic() < end, "the script did not begin"
        time.sleep(0.01)
    return int(file.read_text())


@pytest.fixture
def readable() -> None:
    """Skip where an ordinary user cannot start this Python with this package."""
    argv = ["setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups", "--"]
    code = "import sys; sys.path.insert(0, sys.argv[1]); import provision.host.root"
    done = subprocess.run(
        [*argv, sys.executable, "-B", "-c", code, str(Path.cwd())], capture_output=True, check=False, cwd="/"
    )
    if done.returncode != 0:
        pytest.skip("an ordinary user cannot read this Python")


@pytest.mark.usefixtures("readable")
def test_what_runs_is_roots_and_is_told_before(folder: Path) -> None:
    program = start(folder, "id -u")
    out, _ = program.communicate(timeout=120)
    assert out.splitlines() == [r"out '0\n'", str(["as root: sh -c 'id -u'"])]


@pytest.mark.usefixtures("readable")
def test_the_deadline_ends_roots_processes_and_is_the_error(folder: Path) -> None:
    program = start(folder, f"sleep 60 & echo $! > {folder}/pid; echo late; wait")
    pid = running(folder)
    out, _ = program.communicate(timeout=120)
    assert out.startswith("ToolFailed"), out
    assert "exit code 124" in out
    assert gone_soon(pid)


@pytest.mark.usefixtures("readable")
def test_ctrl_c_ends_roots_processes_and_is_the_error(folder: Path) -> None:
    program = start(folder, f"sleep 60 & echo $! > {folder}/pid; wait")
    pid = running(folder)
    program.terminate()
    out, _ = program.communicate(timeout=120)
    assert out.startswith("KeyboardInterrupt"), out
    assert gone_soon(pid)


@pytest.mark.usefixtures("readable")
@pytest.mark.parametrize("user", [USER, 0])
def test_roots_processes_end_when_kubelab_is_killed(folder: Path, user: int) -> None:
    program = start(folder, f"trap '' TERM; sleep 60 & echo $! > {folder}/pid; wait", user=user)
    pid = running(folder)
    program.send_signal(signal.SIGKILL)
    assert gone_soon(pid)
    program.communicate(timeout=120)


def plainly(argv: list[str], **options: object) -> str:
    """Run as somebody who is not root, with whatever `sudo` is on PATH."""
    return run_as_root(argv, say=lambda text: None, deadline=30, is_root=False, **options)  # type: ignore[arg-type]


def test_input_output_and_exit_code_pass_through(folder: Path) -> None:
    assert plainly(["cat"], stdin="text\n") == "text\n"
    with pytest.raises(ToolFailed) as caught:
        plainly(["sh", "-c", "echo why >&2; exit 37"], hint="try that")
    assert (caught.value.code, caught.value.details, caught.value.hint) == (37, "why", "try that")
    assert caught.value.argv[:2] == ("sudo", "sh")


def test_variables_reach_the_command_and_a_program_that_is_missing_is_named(folder: Path) -> None:
    assert plainly(["sh", "-c", "echo $TMPDIR"], variables={"TMPDIR": "/a b"}) == "/a b\n"
    with pytest.raises(MissingTool, match="no-such-program"):
        plainly(["no-such-program"], variables={"TMPDIR": "/a b"})


def test_a_signal_that_ends_the_command_is_its_exit_code(folder: Path) -> None:
    with pytest.raises(ToolFailed) as caught:
        plainly(["sh", "-c", "kill -s KILL $$"])
    assert caught.value.code == 128 + signal.SIGKILL


def test_what_is_made_can_be_read_whatever_the_users_umask(folder: Path) -> None:
    before = os.umask(0o077)
    try:
        plainly(["touch", str(folder / "made")])
        run_as_root(["touch", str(folder / "too")], say=lambda text: None, deadline=30)
    finally:
        os.umask(before)
    assert [(folder / name).stat().st_mode & 0o777 for name in ("made", "too")] == [0o644, 0o644]


def test_cancel_waits_until_the_command_ended(folder: Path) -> None:
    cancel = threading.Event()
    wait = f"trap 'touch {folder}/tidy; exit 1' TERM; echo ready; while :; do sleep 0.05; done"
    with pytest.raises(Cancelled):
        plainly(["sh", "-c", wait], cancel=cancel, on_line=lambda _: cancel.set())
    assert (folder / "tidy").exists()


@pytest.mark.parametrize(
    ("says", "error", "text"),
    [
        ("sudo: a password is required", LabError, "a password is required"),
        ("sudo: rm: command not found", MissingTool, "`rm`"),
        ("sudo: unable to resolve host box: Name or service not known", ToolFailed, "exit code 1"),
    ],
)
def test_what_sudo_itself_says_is_told_apart(
    folder: Path, says: str, error: type[LabError], text: str
) -> None:
    (folder / "bin/sudo").write_text(f"#!/bin/sh\necho '{says}' >&2\nexit 1\n")
    with pytest.raises(error, match=text) as caught:
        plainly(["rm", "x"])
    assert type(caught.value) is error


def test_to_root_its_own_errors_are_told_as_they_are() -> None:
    with pytest.raises(ToolFailed) as caught:
        run_as_root(["sh", "-c", "echo why >&2; exit 37"], say=lambda text: None, deadline=30)
    assert (caught.value.argv[0], caught.value.code, caught.value.details) == ("sh", 37, "why")
    with pytest.raises(MissingTool, match="no-such-program"):
        run_as_root(["no-such-program"], say=lambda text: None, deadline=30)


def test_no_sudo_at_all_is_said(folder: Path) -> None:
    with pytest.raises(MissingTool, match="no sudo"):
        plainly(["true"], env={"PATH": "/nowhere"})


def test_the_first_error_is_kept_where_nothing_can_be_ended(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(group: int, number: signal.Signals) -> None:
        kept(group, number)
        raise PermissionError(1, "Operation not permitted")

    kept = root._kill_group
    monkeypatch.setattr(root, "_kill_group", refuse)
    with pytest.raises(ToolFailed, match="124"):
        run_as_root(["sleep", "60"], say=lambda text: None, deadline=0.3, is_root=False)
