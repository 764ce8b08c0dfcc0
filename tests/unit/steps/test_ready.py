from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from provision.cni.none import NoCni
from provision.errors import StepFailed, WaitTimeout
from provision.lab.readiness import what_is_missing
from provision.steps.cni import CniStep
from provision.steps.ready import ReadyStep
from tests.fakes.lab import Lab, make_lab

GET = "get nodes,pods,deployments,daemonsets --all-namespaces *"


def node(name: str, ip: str, *, ready: str = "True") -> dict[str, Any]:
    status = {
        "conditions": [{"type": "Ready", "status": ready, "message": "the CNI is not there"}],
        "addresses": [{"type": "InternalIP", "address": ip}],
    }
    return {"kind": "Node", "metadata": {"name": name}, "status": status}


def cluster(*more: dict[str, Any], ready: str = "True") -> str:
    nodes = [node("lab-cp1", "192.168.60.11"), node("lab-w1", "192.168.60.21", ready=ready)]
    return json.dumps({"items": [*nodes, *more]})


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A lab whose API server answers."""
    made = make_lab(tmp_path, workers={"count": 1})
    made.ctx.workspace.kubeconfig.write_text("{}")
    made.kubectl.answer("get --raw *", "ok")
    return made


def test_a_ready_cluster_is_not_waited_for(lab: Lab) -> None:
    lab.kubectl.answer(GET, cluster())
    assert lab.run(ReadyStep()) == []
    assert lab.ctx.clock.now() == 0


def test_a_users_broken_pod_is_not_waited_for(lab: Lab) -> None:
    broken = {"kind": "Pod", "metadata": {"name": "typo", "namespace": "default"}, "status": {}}
    lab.kubectl.answer(GET, cluster(broken))
    assert lab.run(ReadyStep()) == []


def test_the_wait_ends_when_the_cluster_is_ready_and_says_what_it_waits_for(lab: Lab) -> None:
    lab.kubectl.answer(GET, cluster(ready="False"))
    clock = lab.ctx.fake_clock
    clock.on_sleep = lambda: lab.kubectl.answer(GET, cluster()) if clock.time >= 5 else None
    assert lab.run(ReadyStep()) == ["ready"]
    assert "lab-w1 is not Ready" in lab.report.of("progress")[0]["text"]


def test_a_cluster_that_never_becomes_ready_is_an_error_that_names_what_is_missing(lab: Lab) -> None:
    lab.kubectl.answer(GET, cluster(ready="False"))
    lab.ctx.fake_clock.speed = 30
    with pytest.raises(StepFailed, match="node lab-w1 is not Ready: the CNI is not there") as caught:
        lab.run(ReadyStep())
    assert isinstance(caught.value.cause, WaitTimeout)


def test_an_api_server_that_falls_silent_meanwhile_is_waited_for(lab: Lab) -> None:
    lab.kubectl.answer(GET, stderr="connection refused", code=1)
    assert "connection refused" in what_is_missing(lab.ctx)[0]
    lab.ctx.fake_clock.on_sleep = lambda: lab.kubectl.answer(GET, cluster())
    assert lab.run(ReadyStep()) == ["ready"]


def test_the_wait_is_longer_where_machines_are_emulated(tmp_path: Path) -> None:
    waited = []
    for factor in (1.0, 10.0):
        lab = make_lab(tmp_path / str(factor), factor=factor)
        lab.kubectl.answer(GET, json.dumps({"items": []}))
        lab.ctx.fake_clock.speed = 30
        with pytest.raises(StepFailed):
            lab.run(ReadyStep())
        waited.append(lab.ctx.clock.now())
    assert 5 * waited[0] < waited[1]


def test_the_wait_is_longer_where_the_cni_needs_it(tmp_path: Path) -> None:
    waited = []
    for seconds in (0.0, 90.0):
        network = NoCni()
        network.settle_seconds = seconds
        lab = make_lab(tmp_path / str(seconds), factor=10.0, changes={"cni": network})
        lab.kubectl.answer(GET, json.dumps({"items": []}))
        lab.ctx.fake_clock.speed = 30
        with pytest.raises(StepFailed):
            lab.run(ReadyStep())
        waited.append(lab.ctx.clock.now())
    assert waited[1] - waited[0] >= 800


def test_without_a_cni_nodes_need_not_be_ready(tmp_path: Path) -> None:
    lab = make_lab(tmp_path, changes={"cni": NoCni()}, cni="none", workers={"count": 1})
    lab.ctx.workspace.kubeconfig.write_text("{}")
    lab.kubectl.answer("get --raw *", "ok")
    lab.kubectl.answer(GET, cluster(ready="False"))
    assert lab.run(CniStep(), ReadyStep()) == []
