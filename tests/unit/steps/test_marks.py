from __future__ import annotations

import json
from pathlib import Path

from provision.config.inventory import inventory_of
from provision.steps.marks import MarksStep
from tests.fakes.checks.objects import node_object
from tests.fakes.config import make_config
from tests.fakes.lab import Lab, make_lab


def made(tmp_path: Path) -> Lab:
    """Return a lab whose nodes are as kubeadm makes them, and whose first worker is to have a label."""
    lab = make_lab(tmp_path, workers={"count": 2}, nodes={"lab-w1": {"labels": {"disk": "ssd"}}})
    lab.ctx.workspace.kubeconfig.write_text("{}")
    answer(lab)
    return lab


def answer(lab: Lab, **labels: str) -> None:
    items = [node_object(node) for node in inventory_of(make_config(workers={"count": 2})).nodes]
    items[1]["metadata"]["labels"] |= labels
    lab.kubectl.answer("get nodes *", json.dumps({"items": items}))


def test_only_the_node_that_differs_is_changed_and_it_is_told(tmp_path: Path) -> None:
    lab = made(tmp_path)
    lab.kubectl.answer("patch *")
    lab.ctx.fake_clock.on_sleep = lambda: answer(lab, disk="ssd")
    assert lab.run(MarksStep()) == ["labels"]
    (call,) = [call for call in lab.kubectl.calls if call.startswith("patch")]
    assert call.startswith("patch node lab-w1 --type=merge")
    assert json.loads(call.partition("--patch=")[2])["metadata"]["labels"] == {"disk": "ssd"}
    assert [event["text"] for event in lab.report.of("info")] == ["lab-w1: labels disk=ssd; taints none"]


def test_a_cluster_that_is_as_lab_yaml_says_is_left_alone(tmp_path: Path) -> None:
    lab = made(tmp_path)
    answer(lab, disk="ssd")
    assert lab.run(MarksStep()) == []
