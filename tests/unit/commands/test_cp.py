"""`kubelab cp`: what scp is given, and what is refused before."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from provision.cli import group

Given = list[list[str]]


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Given:
    """Make a lab with machines, and return the command lines that are run."""
    monkeypatch.chdir(tmp_path)
    Path("lab.yaml").write_text("name: lab\nworkers: {count: 1}\n")
    Path(".kubelab/lab").mkdir(parents=True)
    Path(".kubelab/lab/ssh_config").touch()
    found: Given = []
    monkeypatch.setattr(os, "execvp", lambda program, argv: found.append(argv))
    return found


def cp(*arguments: str) -> Result:
    return CliRunner().invoke(group, ["cp", *arguments])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["a b", "lab-w1:"], ["-s", "--", "a b", "lab-w1:"]),
        (["lab-w1:/x; reboot", "."], ["-s", "--", "lab-w1:/x; reboot", "."]),
        (["-r", "lab-cp1:d", "lab-w1:d"], ["-s", "-3", "-r", "--", "lab-cp1:d", "lab-w1:d"]),
        (["./lab-w1:x", "lab-w1:x"], ["-s", "--", "./lab-w1:x", "lab-w1:x"]),
        (["--", "-oProxyCommand=x", "lab-w1:"], ["-s", "--", "-oProxyCommand=x", "lab-w1:"]),
    ],
)
def test_scp_gets_both_paths_as_they_are(
    given: Given, tmp_path: Path, arguments: list[str], expected: list[str]
) -> None:
    result = cp(*arguments)
    assert result.exit_code == 0, result.output
    assert given == [["scp", "-F", str(tmp_path / ".kubelab/lab/ssh_config"), *expected]]
    assert "Host lab-w1\n" in Path(".kubelab/lab/ssh_config").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["a", "b"], 2, "write NODE:PATH"),
        (["a", "lab-w2:b"], 2, "there is no node `lab-w2`"),
        (["a"], 2, "TARGET"),
    ],
)
def test_what_names_no_node_is_bad_input(given: Given, arguments: list[str], code: int, said: str) -> None:
    result = cp(*arguments)
    assert (result.exit_code, said in result.stderr, given) == (code, True, []), result.stderr


def test_without_machines_or_scp_it_says_what_to_do(given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(program: str, argv: list[str]) -> None:
        raise FileNotFoundError(program)

    monkeypatch.setattr(os, "execvp", missing)
    told = cp("a", "lab-w1:")
    assert (told.exit_code, "`scp` is not installed" in told.stderr) == (1, True)
    Path(".kubelab/lab/ssh_config").unlink()
    told = cp("a", "lab-w1:")
    assert (told.exit_code, "kubelab up" in told.stderr) == (1, True)


def test_either_name_of_a_node_is_that_of_its_own_for_scp(given: Given) -> None:
    Path("lab.yaml").write_text("name: lab\nworkers: {count: 1}\nnodes: {lab-w1: {name: w1-k8s}}\n")
    for name in ("w1-k8s", "lab-w1"):
        assert cp(f"{name}:/x:y", "lab-cp1:").exit_code == 0
        assert given[-1][-2:] == ["w1-k8s:/x:y", "lab-cp1:"]
