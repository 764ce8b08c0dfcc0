"""Completion in a shell: the scripts, and the words that are offered."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from provision import COMPLETE, PROGRAM
from provision.cli import group


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lab.yaml").write_text("name: lab\nworkers: {count: 1}\n")
    Path("other.yaml").write_text("name: other\nworkers: {count: 0}\n")
    Path("snapshots/lab").mkdir(parents=True)
    for name in ("ready.json", "before-lesson.json", "before-lesson.json.tmp", "$(reboot).json"):
        Path("snapshots/lab", name).touch()


def offered(*words: str) -> list[str]:
    """Return what is offered for the last of the words."""
    completer = ShellComplete(group, {}, PROGRAM, COMPLETE)
    return [str(item.value) for item in completer.get_completions(list(words[:-1]), words[-1])]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_asks_kubelab(shell: str) -> None:
    done = CliRunner().invoke(group, ["completion", shell])
    assert done.exit_code == 0, done.output
    assert f"{COMPLETE}={shell}_complete" in done.stdout
    assert CliRunner().invoke(group, ["completion", "csh"]).exit_code == 2


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ssh", ""], ["lab-cp1", "lab-w1"]),
        (["ssh", "lab-w"], ["lab-w1"]),
        (["ssh", "--file", "other.yaml", ""], ["other-cp1"]),
        (["ssh", "lab-w1", ""], []),
        (["node", "restart", "lab-w"], ["lab-w1"]),
        (["cp", "lab-w"], ["lab-w1:", "lab-w"]),
        (["cp", "x", "lab-c"], ["lab-cp1:", "lab-c"]),
        (["snapshot", "restore", ""], ["before-lesson", "ready"]),
        (["snapshot", "show", "r"], ["ready"]),
        (["snapshot", "delete", "ready", "b"], ["before-lesson"]),
        (["snapshot", "save", ""], []),
        (["up", "--from", "n"], ["network", "nodes"]),
        (["up", "--until", "mach"], ["machines"]),
        (["addon", "enable", "sto"], ["storage"]),
        (["comp"], ["completion"]),
    ],
)
def test_names_of_the_lab_are_offered(words: list[str], expected: list[str]) -> None:
    assert offered(*words) == expected


@pytest.mark.parametrize("text", [None, "wokers: {}\n", "\t"])
def test_without_a_lab_that_can_be_read_nothing_is_offered(text: str | None) -> None:
    Path("lab.yaml").unlink() if text is None else Path("lab.yaml").write_text(text)
    assert offered("ssh", "") == []
    assert offered("snapshot", "restore", "") == []


def test_nodes_are_offered_by_names_of_their_own() -> None:
    Path("lab.yaml").write_text("name: lab\nworkers: {count: 1}\nnodes: {lab-w1: {name: w1-k8s}}\n")
    assert offered("ssh", "") == ["lab-cp1", "w1-k8s"]
    assert offered("cp", "w1") == ["w1-k8s:", "w1"]
