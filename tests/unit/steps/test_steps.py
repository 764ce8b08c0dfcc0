from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from provision.artifacts.bundle import Bundle
from provision.config.inventory import Node
from provision.doctor import Check, Finding
from provision.engine.steps import Step, Together, plan_steps
from provision.errors import LabError, ResourceError, StepFailed
from provision.lab.context import Context
from provision.ssh.runner import ParamikoRunner
from provision.steps import UP, host
from provision.steps.host import HostStep
from tests.fakes.lab import Lab, changed, make_lab

STEPS: list[Step[Context]] = [
    step for item in UP for step in (item.steps if isinstance(item, Together) else [item])
]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return make_lab(tmp_path, workers={"count": 1})


def find(monkeypatch: pytest.MonkeyPatch, *findings: Finding) -> list[list[Check]]:
    """Let the doctor find this, without a look at the host; return the checks it was given."""
    asked: list[list[Check]] = []

    def essentials(examined: object, checks: list[Check]) -> list[Finding]:
        asked.append(list(checks))
        return list(findings)

    monkeypatch.setattr(host, "gather", lambda: None)
    monkeypatch.setattr(host, "essentials", essentials)
    return asked


FAILS = Finding("disk", "Disk", "fail", "3 GiB are free, 20 are needed")
WARNS = Finding("kvm", "Acceleration", "warn", "the machines are emulated")


def test_ids_are_words_for_the_command_line_and_unique() -> None:
    ids = [step.id for step in STEPS]
    assert len(set(ids)) == len(ids)
    assert all(id.replace("-", "").isalpha() and id.islower() for id in ids)
    assert ids[0] == "host"
    assert ids.index("control-plane") < ids.index("cni") < ids.index("ready")


def test_every_step_says_what_it_would_do(lab: Lab) -> None:
    plans = {step.id: (step.title, step.plan(lab.ctx)) for step in STEPS}
    assert all(title and plan for title, plan in plans.values())
    assert "lab-w1" in plans["join"][1]
    assert "1.36.3" in plans["control-plane"][1]
    assert "bridge" in plans["cni"][1]


def test_estimates_are_longer_where_machines_are_emulated(lab: Lab) -> None:
    slow = dataclasses.replace(lab.ctx, acceleration=dataclasses.replace(lab.ctx.acceleration, factor=10.0))
    for step in STEPS:
        estimate = getattr(step, "estimate", None)
        if estimate is not None:
            assert 0 < estimate(lab.ctx) <= estimate(slow)


def test_a_dry_run_of_a_new_lab_makes_nothing(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find(monkeypatch)

    def build_bundle() -> Bundle:
        raise AssertionError("a dry run builds nothing")

    def connect(node: Node) -> ParamikoRunner:
        return ParamikoRunner(lab.ctx.host_keys.endpoint(node))

    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    fresh = changed(lab.ctx, find_bundle=lambda: None, build_bundle=build_bundle, connect=connect)
    planned = plan_steps(UP, fresh)
    done = ["host", "addon-images", "leave", "anew", "sizes", "dns", "serving", "addons", "ports"]
    assert [step.id for step in planned if step.done] == done
    assert [step.id for step in planned] == [step.id for step in STEPS]
    assert (lab.machines.calls, lab.provider.calls) == ([], [])
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_kubectl_without_a_bundle_is_an_error_and_no_build(lab: Lab) -> None:
    fresh = changed(lab.ctx, find_bundle=lambda: None)
    with pytest.raises(LabError) as caught:
        fresh.kubectl.answers()
    assert "kubelab up" in caught.value.hint


def test_a_host_that_cannot_run_the_lab_stops_it_before_anything_else(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    find(monkeypatch, WARNS, FAILS)
    with pytest.raises(StepFailed, match="3 GiB are free") as caught:
        lab.run(*STEPS[:3])
    assert isinstance(caught.value.cause, ResourceError)
    assert "emulated" not in str(caught.value)
    assert "kubelab doctor" in caught.value.hint
    assert [event["id"] for event in lab.report.of("step_started")] == ["host"]


def test_a_warning_of_the_doctor_does_not_stop_the_lab(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = find(monkeypatch, WARNS)
    assert lab.run(HostStep()) == []
    assert asked[0]
