"""The whole cluster saved and put back, on real machines."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from provision.cluster.kubectl import Kubectl
from provision.engine.waiting import RealClock, poll_until
from provision.providers.base import PAUSED, RUNNING
from tests.e2e.cluster import KUBELAB, Cluster

MARK = "/var/lib/mark-of-before"
# Seconds; the machines take some 10 ms.
WIDEST_SPREAD = 0.05


@pytest.fixture(scope="module")
def workload(kubectl: Kubectl, image: str) -> str:
    """Return the name of a Deployment that runs."""
    arguments = ("--image", image, "--", "sleep", "100000")
    kubectl("create", "deployment", "kept", *arguments)
    kubectl("rollout", "status", "deployment/kept", "--timeout=600s", deadline=620)
    return "deployment/kept"


def listed(cluster: Cluster) -> dict[str, dict[str, Any]]:
    events = cluster.events("snapshot", "list")
    data = next(event["data"] for event in events if event["event"] == "result")
    return {each["name"]: each for each in data["snapshots"]}


def on_worker(cluster: Cluster, *command: str) -> str:
    return cluster.kubelab("ssh", "kubelab-e2e-w1", "--", *command)


def test_up_has_saved_a_healthy_cluster(cluster: Cluster) -> None:
    ready = listed(cluster)["ready"]
    assert (ready["live"], ready["verified"], ready["problem"]) == (True, True, None)
    assert ready["pauseSpread"] <= WIDEST_SPREAD


def test_all_that_changed_is_back(cluster: Cluster, kubectl: Kubectl, workload: str) -> None:
    on_worker(cluster, "sudo", "touch", MARK)
    cluster.kubelab("snapshot", "save", "a", "--note", "first")
    assert listed(cluster)["a"]["current"]
    kubectl("delete", workload)
    kubectl("create", "configmap", "later", "--from-literal=a=b")
    on_worker(cluster, "sudo", "rm", MARK)
    cluster.kubelab("snapshot", "restore", "a")
    kubectl("rollout", "status", workload, "--timeout=60s", deadline=80)
    assert "later" not in kubectl("get", "configmaps", "--output=name")
    on_worker(cluster, "test", "-e", MARK)
    cluster.kubelab("status")


def test_a_save_that_is_killed_leaves_nothing(cluster: Cluster) -> None:
    lab = cluster.context
    ids = list(lab.machines.ids().values())
    backend = lab.snapshots(lab.cancel)
    save = subprocess.Popen([*KUBELAB, "snapshot", "save", "killed"], cwd=cluster.folder)

    def all_stopped() -> bool:
        assert save.poll() is None
        return set(backend.states(ids).values()) == {PAUSED}

    poll_until(all_stopped, what="the pause", deadline=lab.scaled(60), clock=RealClock(), interval=0.05)
    save.kill()
    save.wait()
    assert "`kubelab snapshot save killed` was interrupted" in json.dumps(cluster.events("snapshot", "list"))
    assert set(backend.states(ids).values()) == {RUNNING}
    assert "killed" not in listed(cluster)
    assert all("killed" not in held.names for held in backend.list(ids).values())
    cluster.kubelab("up")
    cluster.kubelab("status")


def test_deleting_leaves_none_in_the_hypervisor(cluster: Cluster) -> None:
    lab = cluster.context
    cluster.kubelab("snapshot", "delete", "a", "--children")
    held = lab.snapshots(lab.cancel).list(list(lab.machines.ids().values()))
    assert {each.names for each in held.values()} == {("ready",)}
