"""`kubelab ssh`: what ssh is given."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from provision.cli import group

Run = Callable[..., list[str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `kubelab ssh`, and return what ssh gets after its own options."""
    monkeypatch.chdir(tmp_path)
    Path("lab.yaml").write_text("name: lab\nworkers: {count: 1}\n")
    Path(".kubelab/lab").mkdir(parents=True)
    Path(".kubelab/lab/ssh_config").write_text("Host *\n  ProxyCommand touch here\n")
    given: list[list[str]] = []
    monkeypatch.setattr(os, "execvp", lambda program, argv: given.append(argv))

    def kubelab_ssh(*arguments: str) -> list[str]:
        result = CliRunner().invoke(group, ["ssh", *arguments])
        assert result.exit_code == 0, result.output
        assert given[-1][:3] == ["ssh", "-F", str(tmp_path / ".kubelab/lab/ssh_config")]
        return given[-1][3:]

    return kubelab_ssh


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["lab-w1"], ["lab-w1"]),
        (["lab-w1", "--"], ["lab-w1"]),
        (["lab-w1", "--", "uptime"], ["lab-w1", "--", "uptime"]),
        (["lab-w1", "ps aux | grep kube"], ["lab-w1", "--", "ps aux | grep kube"]),
        (["lab-w1", "--", "cat", "my file", "$HOME"], ["lab-w1", "--", "cat 'my file' '$HOME'"]),
        (["lab-w1", "tail", "-f", "/x"], ["lab-w1", "--", "tail -f /x"]),
        (["lab-w1", "kubeadm", "--json", "--file", "x"], ["lab-w1", "--", "kubeadm --json --file x"]),
        (["lab-w1", "grep", "--", "x"], ["lab-w1", "--", "grep -- x"]),
        (["-f", "lab.yaml", "lab-w1", "-v"], ["lab-w1", "--", "-v"]),
    ],
)
def test_all_that_follows_the_node_is_the_command(
    run: Run, arguments: list[str], expected: list[str]
) -> None:
    assert run(*arguments) == expected


def test_a_node_with_a_name_of_its_own_is_reached_by_either(run: Run) -> None:
    Path("lab.yaml").write_text("name: lab\nworkers: {count: 1}\nnodes: {lab-w1: {name: w1-k8s}}\n")
    assert run("w1-k8s", "hostname") == run("lab-w1", "hostname") == ["w1-k8s", "--", "hostname"]
    text = Path(".kubelab/lab/ssh_config").read_text()
    assert "Host w1-k8s\n  HostName 192.168.60.21\n" in text
    assert "lab-w1" not in text


def test_a_configuration_that_came_with_the_folder_runs_nothing(run: Run) -> None:
    run("lab-cp1")
    text = Path(".kubelab/lab/ssh_config").read_text()
    assert "ProxyCommand" not in text
    assert "Host lab-w1\n" in text


def test_a_refused_command_leaves_the_log_to_the_one_at_work(tmp_path: Path, run: Run) -> None:
    from provision.workspace import Workspace

    space = Workspace(tmp_path, "lab")
    space.run_log.write_text("of the one at work\n")
    with space.lock():
        for _ in range(6):
            result = CliRunner().invoke(group, ["destroy"])
            assert result.exit_code == 1
            assert "another kubelab command is working on the lab" in result.stderr
            assert "run.log" not in result.stderr
    assert space.run_log.read_text() == "of the one at work\n"
    assert not space.run_log.with_name("run.log.1").exists()


def test_of_a_lab_file_that_is_a_link_all_paths_are_relative_to_its_target(tmp_path: Path, run: Run) -> None:
    from provision.config.schema import load_config

    (tmp_path / "other").mkdir()
    (tmp_path / "other/lab.yaml").write_text(
        "name: lab\nartifacts: {bundle: kept}\ncni: {manifest: c.yaml}\n"
    )
    (tmp_path / "link.yaml").symlink_to("other/lab.yaml")
    config = load_config(tmp_path / "link.yaml")
    assert config.artifacts.location == str(tmp_path / "other/kept")
    assert config.cni.manifest == str(tmp_path / "other/c.yaml")
