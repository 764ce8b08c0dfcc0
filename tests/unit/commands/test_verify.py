from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from provision.cli import group
from provision.errors import VerifyFailed
from provision.lab.context import Context
from provision.verify.examine import verify
from tests.fakes.lab import Lab, make_lab

Kubelab = Callable[..., Result]
MINE = "def test_right(): pass\n\ndef test_wrong(): assert False, 'it is wrong'\n"


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """Return a lab with a cluster, in the current folder, beside the user's own tests in `mine`."""
    monkeypatch.chdir(tmp_path)
    made = make_lab(tmp_path, workers={"count": 1})
    made.machines.up()
    made.ctx.workspace.kubeconfig.touch()
    Path("lab.yaml").write_text("name: lab\nworkers: {count: 1}\n")
    Path("mine").mkdir()
    Path("mine/test_mine.py").write_text(MINE)
    return made


@pytest.fixture
def kubelab(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Kubelab:
    """Return what runs `kubelab verify ARGUMENTS` on that lab."""

    def open_lab(config: object, workspace: object, report: Any, cancel: Any) -> Context:
        return replace(lab.ctx, report=report, cancel=cancel)

    monkeypatch.setattr("provision.lab.opening.open_lab", open_lab)
    return lambda *arguments: CliRunner().invoke(group, ["verify", *arguments])


def events(result: Result, name: str) -> list[dict[str, Any]]:
    return [event for event in map(json.loads, result.stdout.splitlines()) if event["event"] == name]


def test_red_is_3_and_green_is_0(kubelab: Kubelab, lab: Lab) -> None:
    red = kubelab("--only", "mine", "--tests", "mine")
    assert red.exit_code == 3
    assert "wrong  it is wrong  mine/test_mine.py::test_wrong" in red.stdout
    assert "1 of 2 checks failed: wrong" in red.stderr
    assert "log: " in red.stderr
    log = lab.ctx.workspace.run_log.read_text()
    assert "pytest | passed: mine/test_mine.py::test_right" in log
    assert "AssertionError: it is wrong" in log
    Path("mine/test_mine.py").write_text("def test_right(): pass\n")
    assert kubelab("--only", "mine", "--tests", "mine").exit_code == 0


def test_json_ends_with_the_counts_and_the_failures(kubelab: Kubelab) -> None:
    result = kubelab("--only", "mine", "--tests", "mine", "--junit", "out/junit.xml", "--json")
    assert result.exit_code == 3
    (data,) = (event["data"] for event in events(result, "result"))
    assert {name: data[name] for name in ("green", "quick", "passed", "failed", "skipped", "junit")} == {
        "green": False,
        "quick": False,
        "passed": 1,
        "failed": 1,
        "skipped": 0,
        "junit": "out/junit.xml",
    }
    assert data["failures"][0]["why"] == ["it is wrong"]
    assert [event["exit_code"] for event in events(result, "error")] == [3]
    assert [event["text"] for event in events(result, "progress")] == ["1 of 2: right", "2 of 2: wrong"]
    assert 'name="kubelab"' in Path("out/junit.xml").read_text()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--only", "clok"], "did you mean `clock`?"),
        (["--tests", "nowhere"], "nowhere"),
        (["--only", " ,"], "name of a concern or mark"),
        (["--junit", "mine"], "mine"),
    ],
)
def test_what_cannot_be_run_as_asked_is_2(kubelab: Kubelab, arguments: list[str], told: str) -> None:
    result = kubelab(*arguments)
    assert (result.exit_code, told in result.stderr) == (2, True), result.output


def test_a_pytest_that_broke_is_1_with_its_last_lines(kubelab: Kubelab) -> None:
    Path("mine/conftest.py").write_text("raise RuntimeError('no way')\n")
    result = kubelab("--only", "mine", "--tests", "mine")
    assert (result.exit_code, "no way" in result.stderr) == (1, True)


def test_without_a_cluster_it_is_1_and_the_next_command_is_up(kubelab: Kubelab, lab: Lab) -> None:
    lab.ctx.workspace.kubeconfig.unlink()
    result = kubelab()
    assert (result.exit_code, "try: kubelab up" in result.stderr) == (1, True)


def test_ctrl_c_is_130(kubelab: Kubelab, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> dict[str, str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(lab.machines, "states", interrupt)
    assert kubelab().exit_code == 130


def test_other_commands_end_with_it_and_raise_when_red(lab: Lab) -> None:
    with pytest.raises(VerifyFailed, match="wrong") as caught:
        verify(lab.ctx, Path("lab.yaml"), only=["mine"], tests=[Path("mine")])
    assert caught.value.exit_code == 3
    assert lab.report.of("result") == []
