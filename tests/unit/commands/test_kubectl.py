"""`kubelab kubectl`: which words are kubelab's own, and which are kubectl's."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from provision.cli import group

LAB = "name: {}\n"


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Return what kubectl is run with: its kubeconfig, then its arguments."""
    monkeypatch.chdir(tmp_path)
    for file, name in (("lab.yaml", "lab"), ("my.yaml", "mine")):
        Path(file).write_text(LAB.format(name))
        Path(f".kubelab/{name}").mkdir(parents=True)
        Path(f".kubelab/{name}/kubeconfig").touch()

    def opened(config: object, workspace: SimpleNamespace, *_: object) -> SimpleNamespace:
        kubectl = SimpleNamespace(program="kubectl", environment={}, kubeconfig=workspace.kubeconfig)
        return SimpleNamespace(workspace=workspace, kubectl=kubectl)

    found: list[list[str]] = []
    monkeypatch.setattr("provision.lab.opening.open_lab", opened)
    monkeypatch.setattr(os, "execve", lambda program, argv, environment: found.append(argv[1:]))
    return found


@pytest.mark.parametrize(
    ("arguments", "lab", "expected"),
    [
        (["get", "nodes", "-o", "wide"], "lab", ["get", "nodes", "-o", "wide"]),
        (["--", "get", "nodes"], "lab", ["get", "nodes"]),
        (["get", "pods", "--json", "-f", "x"], "lab", ["get", "pods", "--json", "-f", "x"]),
        (["-nkube-flannel", "get", "pods"], "lab", ["-nkube-flannel", "get", "pods"]),
        (["exec", "-it", "p", "--", "ls", "-l"], "lab", ["exec", "-it", "p", "--", "ls", "-l"]),
        (["--", "-f", "x", "apply"], "lab", ["-f", "x", "apply"]),
        (["-f", "my.yaml", "--debug", "get", "nodes"], "mine", ["get", "nodes"]),
        (["--file=my.yaml", "--", "get"], "mine", ["get"]),
    ],
)
def test_kubectl_gets_all_but_the_options_before_its_own_words(
    given: list[list[str]], arguments: list[str], lab: str, expected: list[str]
) -> None:
    result = CliRunner().invoke(group, ["kubectl", *arguments])
    assert result.exit_code == 0, result.output
    assert given[0][0].endswith(f"/.kubelab/{lab}/kubeconfig")
    assert given[0][1:] == expected


def test_an_option_without_its_value_is_a_usage_error(given: list[list[str]]) -> None:
    result = CliRunner().invoke(group, ["kubectl", "--file"])
    assert (result.exit_code, given) == (2, [])
