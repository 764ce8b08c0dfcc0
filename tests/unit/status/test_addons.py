"""How each add-on is, by its workloads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from provision.addons.base import LABEL
from provision.status.addons import in_words, states
from tests.fakes.lab import make_context


def workload(addon: str, *, ready: bool) -> dict[str, Any]:
    metadata = {"namespace": "kube-system", "name": addon, "generation": 1, "labels": {LABEL: addon}}
    status = {"observedGeneration": 1, "readyReplicas": int(ready)}
    return {"kind": "Deployment", "metadata": metadata, "spec": {"replicas": 1}, "status": status}


def told(tmp_path: Path, addons: list[str], objects: list[dict[str, Any]] | None) -> list[tuple[str, str]]:
    found = states(make_context(tmp_path, addons=addons), objects)
    return [(each["name"], in_words(each)) for each in found]


def test_an_addon_is_as_its_workloads_are(tmp_path: Path) -> None:
    objects = [workload("storage", ready=True), workload("metrics-server", ready=False)]
    assert told(tmp_path, ["storage", "loadbalancer", "metrics-server"], objects) == [
        ("storage", "ready"),
        ("loadbalancer", "not installed"),
        ("metrics-server", "not ready: deployment kube-system/metrics-server: 0 of 1 ready"),
    ]


def test_what_lab_yaml_has_no_more_is_told_as_long_as_it_is_there(tmp_path: Path) -> None:
    other = {"kind": "Deployment", "metadata": {"namespace": "default", "name": "mine"}}
    objects = [workload("storage", ready=True), other]
    assert told(tmp_path, [], objects) == [("storage", "ready, not in lab.yaml")]


def test_of_a_cluster_that_is_silent_nothing_is_known(tmp_path: Path) -> None:
    assert told(tmp_path, ["storage"], None) == [("storage", "unknown")]
