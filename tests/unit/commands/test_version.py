"""`kubelab version`: of kubelab, and of the lab as far as it is decided."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from provision import __version__
from provision.cli import group
from provision.lab.decision import Decision


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def version(*arguments: str) -> Result:
    return CliRunner().invoke(group, ["version", *arguments])


def known(*arguments: str) -> dict[str, Any]:
    (data,) = [
        event["data"]
        for event in map(json.loads, version("--json", *arguments).stdout.splitlines())
        if event["event"] == "result"
    ]
    return dict(data)


def test_without_a_lab_file_it_is_kubelabs_alone() -> None:
    shown = version()
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert shown.stdout == f"kubelab {__version__}\n"
    assert known() == {"kubelab": __version__, "lab": None}


def test_of_a_lab_that_is_not_made_it_is_what_its_file_says() -> None:
    Path("lab.yaml").write_text('name: lab\nkubernetes: "1.36"\ncni: auto\n')
    assert "lab lab: Kubernetes 1.36, CNI auto, as lab.yaml has it" in version().stdout
    assert known()["lab"] == {"name": "lab", "kubernetes": "1.36", "cni": "auto", "decided": False}


def test_of_a_lab_that_is_made_it_is_what_was_decided() -> None:
    Path("lab.yaml").write_text('name: lab\nkubernetes: "1.36"\n')
    made = Decision(kubernetes="1.36.3", artifacts="source", bundle="a" * 64, cni="bridge")
    made.write(Path(".kubelab/lab/decision.json"))
    assert "lab lab: Kubernetes 1.36.3, CNI bridge\n" in version().stdout
    assert known()["lab"] == {"name": "lab", "kubernetes": "1.36.3", "cni": "bridge", "decided": True}


def test_a_file_that_is_wrong_or_was_named_and_is_not_there_is_bad_input() -> None:
    assert version("--file", "other.yaml").exit_code == 2
    Path("lab.yaml").write_text("nme: lab\n")
    assert version().exit_code == 2
