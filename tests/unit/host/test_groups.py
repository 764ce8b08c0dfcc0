from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import pytest

from provision.host import groups

# Stands in for `sg`, which would change the group: it notes which, and runs the command as `sg` does.
SG = '#!/bin/sh\necho "$1" >> "$SG_LOG"\nexec sh -c "$3"\n'
PROGRAM = """
import os, signal, sys, time
from provision.host import groups
groups.join()
if groups.MARK not in os.environ:
    sys.exit(groups.run_again())
{body}
"""


class Second:
    """A program that runs itself again with new groups, and what its second run says and leaves."""

    def __init__(self, folder: Path, body: str) -> None:
        self.log = folder / "groups"
        (folder / "sg").write_text(SG)
        (folder / "sg").chmod(0o755)
        (folder / "program.py").write_text(PROGRAM.format(body=textwrap.dedent(body)))
        environment = {
            **os.environ,
            "PATH": f"{folder}:{os.environ['PATH']}",
            "PYTHONPATH": str(Path.cwd()),
            "SG_LOG": str(self.log),
            "LAB": "it's; $HOME",
        }
        environment.pop(groups.MARK, None)
        self.process = subprocess.Popen(
            [sys.executable, str(folder / "program.py"), "a b", "it's", "$HOME;"],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def end(self) -> int:
        self.process.communicate(timeout=30)
        return self.process.returncode


def test_arguments_environment_and_exit_code_are_kept(tmp_path: Path) -> None:
    second = Second(tmp_path, "print(sys.argv[1:], os.environ['LAB'], flush=True); sys.exit(37)")
    assert second.line() == f"{['a b', chr(39).join(['it', 's']), '$HOME;']} it's; $HOME"
    assert second.end() == 37
    assert second.log.read_text().split() == ["libvirt"]


def test_a_program_that_is_ended_by_a_signal_has_the_shells_exit_code(tmp_path: Path) -> None:
    assert Second(tmp_path, "os.kill(os.getpid(), signal.SIGKILL)").end() == 128 + signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_first_run_reaches_the_second_which_ends_as_it_likes(
    tmp_path: Path, number: signal.Signals
) -> None:
    second = Second(
        tmp_path,
        """
        came = []
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, lambda number, frame: came.append(number))
        print("ready", flush=True)
        while not came:
            time.sleep(0.01)
        print(came, flush=True)
        sys.exit(130)
        """,
    )
    assert second.line() == "ready"
    second.process.send_signal(number)
    assert second.line() == f"[{int(number)}]"
    assert second.end() == 130


def test_the_second_run_ends_when_the_first_is_killed(tmp_path: Path) -> None:
    second = Second(tmp_path, "print('ready', flush=True); time.sleep(60)")
    assert second.line() == "ready"
    second.process.kill()
    # The pipe has no other writer: it ends with the second run.
    assert second.line() == ""
    second.end()


def test_others_in_the_group_may_not_write_to_what_is_made(tmp_path: Path) -> None:
    second = Second(tmp_path, "print(oct(os.umask(0)), flush=True)")
    assert int(second.line(), 8) & 0o022 == 0o022
    second.end()


def test_a_command_is_quoted_for_the_shell_between() -> None:
    words = groups.with_group("libvirt", ["kubelab", "it's", "a b"])
    assert words[:3] == ["sg", "libvirt", "-c"]
    assert shlex.split(words[3]) == ["exec", "kubelab", "it's", "a b"]


@pytest.mark.parametrize(
    ("user", "members", "own", "late"),
    [
        (1000, ["bob", "ann"], [1000], True),
        (1000, ["bob", "ann"], [1000, 64], False),
        (1000, ["bob"], [1000], False),
        (0, ["bob", "ann"], [0], False),
    ],
)
def test_a_group_is_late_where_the_database_has_it_and_the_session_has_not(
    monkeypatch: pytest.MonkeyPatch, user: int, members: list[str], own: list[int], late: bool
) -> None:
    monkeypatch.setattr("grp.getgrnam", lambda name: SimpleNamespace(gr_gid=64, gr_mem=members))
    monkeypatch.setattr("pwd.getpwuid", lambda uid: SimpleNamespace(pw_name="ann"))
    monkeypatch.setattr("os.geteuid", lambda: user)
    monkeypatch.setattr("os.getegid", lambda: own[0])
    monkeypatch.setattr("os.getgroups", lambda: own)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.delenv(groups.MARK, raising=False)
    assert groups.must_run_again() is late
    # Once is enough.
    monkeypatch.setenv(groups.MARK, "done")
    assert not groups.must_run_again()
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert not groups.is_late("libvirt")


def test_a_group_that_is_not_there_is_not_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert not groups.is_late("no-such-group-anywhere")
