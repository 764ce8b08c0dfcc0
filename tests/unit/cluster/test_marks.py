from __future__ import annotations

from typing import Any

import pytest

from provision.cluster.health import Object
from provision.cluster.marks import ANNOTATION, patch_for, seen, wanted
from provision.config.inventory import Node, inventory_of
from tests.fakes.checks.objects import node_object
from tests.fakes.config import make_config

PLANE = "node-role.kubernetes.io/control-plane"


def node(name: str = "lab-w1", **keys: Any) -> Node:
    return inventory_of(make_config(**keys)).node(name)


def after(item: Object, patch: Object) -> Object:
    """Return a Node object as the API server makes it of a merge patch."""
    labels = (item["metadata"].get("labels") or {}) | patch["metadata"]["labels"]
    kept = {key: value for key, value in labels.items() if value is not None}
    metadata = item["metadata"] | {"labels": kept, "annotations": patch["metadata"]["annotations"]}
    return item | {"metadata": metadata, "spec": item["spec"] | patch["spec"]}


def test_a_node_gets_what_lab_yaml_says_and_keeps_what_others_gave() -> None:
    plain = node_object(node())
    plain["metadata"]["labels"] = {"users": "own"}
    plain["spec"]["taints"] = [{"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}]
    asked = node(workers={"labels": {"disk": "ssd"}, "taints": ["gpu=yes:NoSchedule"]})
    assert seen(plain, asked) != wanted(asked)
    made = after(plain, patch_for(plain, asked))
    assert seen(made, asked) == wanted(asked)
    assert made["metadata"]["labels"] == {"users": "own", "disk": "ssd"}
    assert made["spec"]["taints"] == [
        {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"},
        {"key": "gpu", "effect": "NoSchedule", "value": "yes"},
    ]
    # And without them in lab.yaml it is as it was.
    again = after(made, patch_for(made, node()))
    assert again["metadata"]["labels"] == {"users": "own"}
    assert again["spec"]["taints"] == plain["spec"]["taints"]
    assert seen(again, node()) == wanted(node())


def test_another_value_takes_the_place_of_the_one_before() -> None:
    item = node_object(node(workers={"labels": {"disk": "hdd"}, "taints": ["gpu=no:NoSchedule"]}))
    asked = node(workers={"labels": {"disk": "ssd"}, "taints": ["gpu=yes:NoSchedule"]})
    assert (seen(item, asked).labels_text, seen(item, asked).taints_text) == ("disk=hdd", "gpu=no:NoSchedule")
    made = after(item, patch_for(item, asked))
    assert made["spec"]["taints"] == [{"key": "gpu", "effect": "NoSchedule", "value": "yes"}]
    assert seen(made, asked) == wanted(asked)


def test_kubeadms_taint_of_a_control_plane_goes_where_lab_yaml_has_another_list() -> None:
    item = node_object(node("lab-cp1"))
    assert item["spec"]["taints"] == [{"key": PLANE, "effect": "NoSchedule"}]
    assert seen(item, node("lab-cp1")) == wanted(node("lab-cp1"))
    schedulable = node("lab-cp1", controlPlanes={"taints": []})
    made = after(item, patch_for(item, schedulable))
    assert made["spec"]["taints"] == []
    assert seen(made, node("lab-cp1")) != wanted(node("lab-cp1"))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"labels": 1, "taints": []}', "no JSON"])
def test_an_annotation_that_others_wrote_says_nothing(text: str) -> None:
    item = node_object(node())
    item["metadata"] |= {"annotations": {ANNOTATION: text}, "labels": {"users": "own"}}
    assert seen(item, node()) == wanted(node())
