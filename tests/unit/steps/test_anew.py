from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from provision.engine.steps import Outcome, plan_steps
from provision.errors import StepFailed
from provision.lab.context import Context
from provision.lifecycle import up as lifecycle
from provision.providers.base import RUNNING, Size
from provision.report.tee import TeeReporter
from provision.steps.anew import AnewStep
from tests.fakes.lab import Lab, make_lab
from tests.fakes.providers.ids import id_of

WORKERS = ("lab-w1", "lab-w2")


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A lab whose workers have a smaller disk than lab.yaml says."""
    lab = make_lab(tmp_path)
    lab.ctx.workspace.kubeconfig.write_text("made by up\n")
    for node in lab.ctx.inventory.nodes:
        lab.machines.make(node.name)
        lab.provider.machines[id_of(node.name)] = RUNNING
        disk = 12 if node.is_control_plane else 10
        lab.provider.sizes[node.name] = Size(node.cpus, node.memory, disk)
    for words in ("patch node *", "drain *", "delete node *"):
        lab.kubectl.answer(words)
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    items = [{"kind": "Node", "metadata": {"name": name}, "spec": {}, "status": ready} for name in WORKERS]
    lab.kubectl.answer("get nodes -o json", json.dumps({"items": items}))
    return lab


def turn_of(lab: Lab, name: str) -> Lab:
    return dataclasses.replace(lab, ctx=dataclasses.replace(lab.ctx, turn=name))


def drained(lab: Lab) -> list[str]:
    return [call.split()[1] for call in lab.kubectl.calls if call.startswith("drain ")]


def test_the_worker_whose_turn_it_is_is_drained_and_removed_and_no_other(lab: Lab) -> None:
    turn = turn_of(lab, "lab-w1")
    assert turn.run(AnewStep()) == ["anew"]
    assert drained(lab) == ["lab-w1"]
    assert "delete node lab-w1 --ignore-not-found" in lab.kubectl.calls
    assert lab.machines.calls == ["destroy lab-w1"]
    assert turn.run(AnewStep()) == []


def test_a_control_plane_stays(lab: Lab) -> None:
    lab.provider.sizes["lab-cp1"] = dataclasses.replace(lab.provider.sizes["lab-cp1"], disk=10)
    (planned,) = plan_steps([AnewStep()], lab.ctx)
    assert planned.text == "drain and remove lab-w2, lab-w1, one after the other, and make each anew"


def test_one_that_cannot_be_drained_stays(lab: Lab) -> None:
    lab.kubectl.answer("drain *", stderr="error: cannot delete Pods that declare no controller", code=1)
    with pytest.raises(StepFailed, match="lab-w1 cannot be drained"):
        turn_of(lab, "lab-w1").run(AnewStep())
    assert lab.machines.calls == []


def test_up_makes_one_after_the_other_anew(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    class Made:
        id, title = "made", "Machines made"

        def is_done(self, ctx: Context) -> bool:
            return len(ctx.machines.ids()) == 3

        def apply(self, ctx: Context) -> None:
            (name,) = {node.name for node in ctx.inventory.nodes} - set(ctx.machines.ids())
            lab.machines.make(name)
            lab.provider.sizes[name] = dataclasses.replace(lab.provider.sizes[name], disk=12)
            lab.machines.calls.append(f"made {name}")

        def plan(self, ctx: Context) -> str:
            return ""

    monkeypatch.setattr(lifecycle, "UP", (AnewStep(), Made()))
    monkeypatch.setattr(lifecycle, "prove", lambda *_: None)
    monkeypatch.setattr(lifecycle, "show_cluster", lambda *_: None)
    outcome = lifecycle.up(lab.ctx, TeeReporter(lab.report), Path("lab.yaml"))
    assert outcome.changed == ["anew", "made"]
    assert lab.machines.calls == ["destroy lab-w2", "made lab-w2", "destroy lab-w1", "made lab-w1"]


def test_a_run_of_some_of_the_steps_removes_one_worker(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "UP", (AnewStep(),))
    lifecycle.up(lab.ctx, TeeReporter(lab.report), Path("lab.yaml"), until_id="anew")
    assert lab.machines.calls == ["destroy lab-w2"]


def test_what_any_of_two_runs_did_was_done() -> None:
    first = Outcome(changed=["b"], skipped=["a", "c"], durations={"a": 1.0, "b": 2.0, "c": 3.0})
    later = Outcome(changed=["c"], skipped=["a", "b"], durations={"a": 1.0, "b": 1.0, "c": 1.0})
    assert first.joined(later) == Outcome(["b", "c"], ["a"], {"a": 2.0, "b": 3.0, "c": 4.0})
