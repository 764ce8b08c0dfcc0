"""Deployments: started, scaled, healed, updated; and logs, exec and port-forward of pods."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from provision.checks.walk import START_SECONDS, Walk
from provision.checks.walk_objects import ECHO_PORT, WEB, WEB_REPLICAS
from provision.cluster.health import condition
from provision.testing.node import LabNode

pytestmark = pytest.mark.changes

MANAGER = "kubelab kubectl -- logs -n kube-system -l component=kube-controller-manager"
SCHEDULER = "kubelab kubectl -- describe nodes; the log of kube-scheduler in kube-system"
PROXY = "kubelab ssh NODE -- sudo nft list ruleset; the logs of kube-proxy in kube-system"
KUBELET = "kubelab ssh {node} -- sudo journalctl -u kubelet -u containerd -e"
FEWEST_REQUESTS = 10
# $1: the URL. Asks it and records each answer, until the file /tmp/enough exists.
ASK = """
while [ ! -e /tmp/enough ]; do
  if wget -q -T 10 -O /dev/null "$1"; then echo ok; else echo failed; fi
  sleep 0.2
done >/tmp/answers 2>/tmp/complaints </dev/null &
"""
COUNT = "touch /tmp/enough; grep -c ok /tmp/answers; grep -c failed /tmp/answers; sort -u /tmp/complaints"


@pytest.mark.look(MANAGER)
def test_a_deployment_gets_all_its_pods(walk: Walk) -> None:
    walk.web.wait(WEB_REPLICAS, timeout=walk.remaining())


@pytest.mark.look(SCHEDULER)
def test_a_scaled_deployment_spreads_over_the_workers(walk: Walk) -> None:
    walk.web.wait(WEB_REPLICAS, timeout=walk.remaining())
    replicas = max(WEB_REPLICAS, len(walk.site.homes)) + 1
    _scale(walk, replicas)
    try:
        walk.web.wait(replicas, timeout=START_SECONDS)
        pods = Counter(pod["spec"]["nodeName"] for pod in walk.web.pods())
    finally:
        _scale(walk, WEB_REPLICAS)
    strangers = sorted(set(pods) - set(walk.site.homes))
    assert not strangers, f"pods without a toleration run on {', '.join(strangers)}: its taint is missing"
    counts = {node: pods[node] for node in walk.site.homes}
    assert max(counts.values()) - min(counts.values()) <= 1, f"{replicas} pods are not spread: {counts}"


@pytest.mark.look(MANAGER)
def test_a_deleted_pod_comes_back(walk: Walk) -> None:
    walk.web.wait(WEB_REPLICAS, timeout=walk.remaining())
    gone = walk.web.pods()[0]["metadata"]
    walk.kubectl.delete("pod", gone["name"], "-n", walk.namespace, "--wait=false")

    def replaced(answer: dict[str, Any]) -> bool:
        ready = {pod["metadata"]["uid"] for pod in answer["items"] if condition(pod, "Ready") == "True"}
        return len(ready - {gone["uid"]}) >= WEB_REPLICAS

    walk.wait_for("pods", "-l", f"app={WEB}", until=replaced, what=f"a pod in place of {gone['name']}")


@pytest.mark.look(PROXY)
def test_a_rolling_update_fails_no_request(walk: Walk) -> None:
    walk.web.wait(WEB_REPLICAS, timeout=walk.remaining())
    client = walk.lab.control_plane.name
    walk.run(client, ASK, f"http://{walk.service(WEB)['clusterIP']}/")
    try:
        walk.kubectl.text("set", "env", f"deployment/{WEB}", "VERSION=2", "-n", walk.namespace)
        walk.web.wait(WEB_REPLICAS, timeout=START_SECONDS)
        walk.wait_for(
            "pods",
            "-l",
            f"app={WEB}",
            until=lambda answer: len(answer["items"]) == WEB_REPLICAS,
            what="the end of the old pods",
        )
    finally:
        answered, failed, *complaints = walk.run(client, COUNT).splitlines()
    assert failed == "0", f"{failed} of {answered} requests failed: {'; '.join(complaints)}"
    assert int(answered) >= FEWEST_REQUESTS, f"only {answered} requests were made during the update"


@pytest.mark.look(KUBELET)
def test_logs_can_be_read_on_every_node(walk: Walk, node: LabNode) -> None:
    log = walk.kubectl.text("logs", "-n", walk.namespace, walk.peer(node.name).pod)
    assert f"{node.name} serves" in log, f"the log of a pod on {node} lacks the line it wrote: {log!r}"


@pytest.mark.look(KUBELET)
def test_exec_runs_a_program_on_every_node(walk: Walk, node: LabNode) -> None:
    name = walk.kubectl.exec(walk.namespace, walk.peer(node.name).pod, "hostname").strip()
    assert name == node.name, f"`hostname` in the pod on {node} prints {name!r}"


@pytest.mark.look(KUBELET)
def test_port_forward_reaches_a_pod_on_every_node(walk: Walk, node: LabNode) -> None:
    answer = walk.fetch_forwarded(walk.peer(node.name).pod, ECHO_PORT)
    assert answer == node.name, f"through the forwarded port the pod on {node} answers {answer!r}"


def _scale(walk: Walk, replicas: int) -> None:
    walk.kubectl.text("scale", f"deployment/{WEB}", f"--replicas={replicas}", "-n", walk.namespace)
