"""Kubelets get serving certificates where an add-on verifies them, and are left alone where none does."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.errors import Result
from provision.repair import serving as repair_serving
from provision.steps import serving
from provision.steps.serving import ServingStep
from tests.fakes.lab import Lab, make_lab
from tests.fakes.node.credentials import kubeconfig


def make(tmp_path: Path, *names: str) -> Lab:
    lab = make_lab(tmp_path, addons=list(names), workers={"count": 1})
    lab.ctx.workspace.kubeconfig.write_text(kubeconfig(365))
    return lab


@pytest.mark.parametrize("names", [(), ("storage",)])
def test_where_nothing_verifies_kubelets_no_node_is_asked(tmp_path: Path, names: tuple[str, ...]) -> None:
    assert make(tmp_path, *names).run(ServingStep()) == []


def test_before_there_is_a_cluster_it_is_still_to_do(tmp_path: Path) -> None:
    lab = make(tmp_path, "metrics-server")
    lab.ctx.workspace.kubeconfig.unlink()
    assert not ServingStep().is_done(lab.ctx)


def test_a_certificate_of_another_authority_is_to_be_replaced(tmp_path: Path) -> None:
    lab = make(tmp_path, "metrics-server")
    lab.script((repair_serving.READ, Result("not one at all", "", 0)))
    assert not ServingStep().is_done(lab.ctx)


def test_only_kubelets_that_get_one_start_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab, ran = make(tmp_path, "metrics-server"), {}
    left = [["lab-w1"], []]
    monkeypatch.setattr(serving, "lacking", lambda ctx, soon: left[0])
    monkeypatch.setattr(serving, "signed_scripts", lambda ctx, names: dict.fromkeys(names, "install\n"))

    def run_on(ctx: object, scripts: dict[str, str], what: str, deadline: float) -> dict[str, str]:
        ran.update(scripts)
        left.pop(0)
        return {}

    monkeypatch.setattr(serving, "run_on", run_on)
    assert lab.run(ServingStep()) == ["serving"]
    assert list(ran) == ["lab-w1"]
    assert ran["lab-w1"].startswith("install\n")
    assert "systemctl restart kubelet" in ran["lab-w1"]
    assert "lab-w1" in lab.report.of("info")[0]["text"]
