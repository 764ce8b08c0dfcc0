from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from provision.host import groups

# Stands in for `sg`, which would change the group: it notes which, and runs the command as `sg` does.
SG = '#!/bin/sh\necho "$1" >> "$SG_LOG"\nexec sh -c "$3"\n'
PROGRAM = """
import os, signal, sys, time
from provision.host import groups
groups.join()
if groups.MARK not in os.environ:
    sys.exit(groups.run_again(["libvirt", "kvm"]))
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
    own = subprocess.run(["id", "-gn"], capture_output=True, text=True, check=True).stdout.strip()
    # The user's own group comes last, so that new files are of it.
    assert second.log.read_text().split() == ["kvm", "libvirt", own]


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


def test_commands_are_quoted_for_every_shell_between() -> None:
    words = groups.command(["libvirt"], ["kubelab", "it's", "a b"])
    assert words[:3] == ["sg", "libvirt", "-c"]
    inner = shlex.split(words[3])
    assert inner[:2] == ["exec", "sg"]
    assert shlex.split(inner[4]) == ["exec", "kubelab", "it's", "a b"]


def test_nothing_is_lacking_to_root_nor_in_the_second_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "is_member", lambda group: True)
    monkeypatch.setattr(groups, "has", lambda group: group == "kvm")
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.delenv(groups.MARK, raising=False)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert groups.lacking() == ("libvirt",)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert groups.lacking() == ()
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv(groups.MARK, "done")
    assert groups.lacking() == ()
