from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from provision.inventory import Node
from provision.status import status
from tests.fakes import Lab, make_lab

KINDS = "get nodes,pods,deployments,daemonsets --all-namespaces -o json"


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """Return a healthy cluster of two nodes."""
    made = make_lab(tmp_path, workers={"count": 1})
    made.ctx.workspace.kubeconfig.write_text("a kubeconfig\n")
    for node in made.ctx.inventory.nodes:
        made.machines.make(node.name)
    answer(made, [ready(node) for node in made.ctx.inventory.nodes])
    return made


def answer(lab: Lab, items: list[dict[str, Any]]) -> None:
    lab.kubectl.answer(KINDS, json.dumps({"items": items}))


def ready(node: Node, state: str = "True") -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": state, "message": "container runtime is down"}]
    addresses = [{"type": "InternalIP", "address": node.ip}]
    content = {"conditions": conditions, "addresses": addresses}
    return {"kind": "Node", "metadata": {"name": node.name}, "status": content}


def told(lab: Lab) -> Any:
    return lab.report.of("result")[-1]["data"]


def test_a_cluster_is_healthy_when_all_of_it_is(lab: Lab) -> None:
    assert status(lab.ctx)
    machines = {"lab-cp1": "running", "lab-w1": "running"}
    assert told(lab) == {"healthy": True, "machines": machines, "problems": []}
    (table,) = lab.report.of("table")
    assert list(map(list, table["rows"])) == [
        ["lab-cp1", "control-plane", "192.168.60.11", "running"],
        ["lab-w1", "worker", "192.168.60.21", "running"],
    ]


def test_a_node_that_is_not_ready_is_named_with_its_reason(lab: Lab) -> None:
    first, second = lab.ctx.inventory.nodes
    answer(lab, [ready(first), ready(second, "False")])
    assert not status(lab.ctx)
    assert told(lab)["problems"] == ["node lab-w1 is not Ready: container runtime is down"]
    assert lab.report.of("warn")[0]["text"] == told(lab)["problems"][0]


@pytest.mark.parametrize("state", ["stopped", "paused", None])
def test_a_machine_that_does_not_run_is_a_problem_before_its_node_is(lab: Lab, state: str | None) -> None:
    if state is None:
        del lab.machines.state["lab-w1"]
    else:
        lab.machines.state["lab-w1"] = state
    assert not status(lab.ctx)
    assert told(lab)["healthy"] is False
    assert any("lab-w1" in problem for problem in told(lab)["problems"])
    assert lab.report.of("next_commands")[-1]["commands"] == ["kubelab up"]


def test_an_api_server_whose_machine_is_off_is_not_waited_for(lab: Lab) -> None:
    lab.machines.state["lab-cp1"] = "stopped"
    assert not status(lab.ctx)
    assert told(lab)["problems"] == ["machine lab-cp1 is stopped"]
    assert lab.kubectl.calls == []


def test_an_api_server_that_does_not_answer_is_a_problem_and_no_crash(lab: Lab) -> None:
    lab.kubectl.answer(KINDS, stderr="connection refused\n", code=1)
    assert not status(lab.ctx)
    assert "connection refused" in told(lab)["problems"][0]


def test_without_machines_or_cluster_the_next_command_is_up(tmp_path: Path) -> None:
    lab = make_lab(tmp_path)
    assert not status(lab.ctx)
    assert told(lab)["problems"] == ["the lab has no machines"]
    lab.machines.up()
    assert not status(lab.ctx)
    assert told(lab)["problems"] == ["the lab has no cluster yet"]
    assert [event["commands"] for event in lab.report.of("next_commands")] == [["kubelab up"]] * 2
    assert lab.kubectl.calls == []
