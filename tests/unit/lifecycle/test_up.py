from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from provision.artifacts import sites
from provision.artifacts.bundle import write_index
from provision.artifacts.release.origin import Release
from provision.artifacts.sites import Sites
from provision.artifacts.unavailable import Unavailable
from provision.config.schema import parse_config
from provision.errors import StepFailed
from provision.host.facts import gather
from provision.lab.decision import read_decision
from provision.lab.opening import open_lab
from provision.lifecycle import up as lifecycle
from provision.report.base import RecordingReporter
from provision.report.tee import TeeReporter
from provision.steps.artifacts import BundleStep
from provision.steps.decision import DecisionStep
from provision.workspace import Workspace
from tests.fakes.artifacts.mirror import serving
from tests.fakes.providers import virsh


@pytest.fixture
def no_calico(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A site of the release that has all but Calico, and an `up` that ends with the bundle."""

    def make(origin: Release, root: Path, *rest: object) -> None:
        if origin.wanted:
            error = Unavailable("https://a.test/calico.yaml", "https://a.test/calico.yaml: 429")
            error.of_cni = True
            raise error
        write_index(root, kubernetes=origin.kubernetes, source="test", recipe=origin.key, entries=[])

    virsh.install(tmp_path / "bin", monkeypatch)
    monkeypatch.setenv("KUBELAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(Release, "make", make)
    monkeypatch.setattr(Release, "check", lambda *_: None)
    monkeypatch.setattr(lifecycle, "UP", (DecisionStep(), BundleStep()))
    with serving() as mirror:
        mirror.release("1.36.4", {"kubeadm": b"program"})
        monkeypatch.setattr(sites, "PUBLIC", Sites(mirror.url))
        yield mirror


def run_up(folder: Path, cni: str, screen: RecordingReporter | None = None) -> tuple[Workspace, list[str]]:
    """Run `up` and return the workspace and its warnings."""
    screen = screen or RecordingReporter()
    report = TeeReporter(screen)
    workspace = Workspace(folder, "lab")
    workspace.prepare()
    config = parse_config(f"{{name: lab, cni: {cni}, provider: libvirt}}")
    ctx = open_lab(config, workspace, report, threading.Event(), gather())
    lifecycle.up(ctx, report, folder / "lab.yaml", until_id="bundle")
    return workspace, [event["text"] for event in screen.of("warn")]


def test_a_lab_goes_on_with_the_bridge_where_calico_cannot_be_had(tmp_path: Path, no_calico: Any) -> None:
    workspace, said = run_up(tmp_path, "auto")
    decision = read_decision(workspace.decision)
    assert decision is not None
    assert (decision.kubernetes, decision.cni) == ("1.36.4", "bridge")
    assert decision.bundle == Release("1.36.4", sites.PUBLIC).key
    (line,) = said
    assert line.startswith("https://a.test/calico.yaml: 429; ")
    assert line.endswith("which continues with cni: bridge")
    # The next command finds it decided, and asks nobody.
    no_calico.asked.clear()
    again, said = run_up(tmp_path, "auto")
    assert read_decision(again.decision) == decision
    assert (no_calico.asked, said) == ([], [])


def test_an_unfinished_lab_has_no_nodes_to_ask(tmp_path: Path, no_calico: Any) -> None:
    screen = RecordingReporter()
    run_up(tmp_path, "bridge", screen)
    (told,) = screen.of("next_commands")
    assert told["commands"] == ["kubelab up"]


def test_a_lab_that_names_calico_ends_there(tmp_path: Path, no_calico: Any) -> None:
    with pytest.raises(StepFailed, match=r"calico\.yaml: 429"):
        run_up(tmp_path, "calico")
