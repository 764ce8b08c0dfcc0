"""The shipped checks of the cluster: green on a healthy one, red for exactly what is wrong."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provision.checks import conftest as checks_conftest
from provision.checks.facts import AllFacts, gather
from provision.checks.state import ClusterState, last_step, look
from provision.report.run_log import RunLog
from provision.testing.kubectl import LabKubectl
from provision.testing.workloads import MANAGED_BY
from tests.fakes.checks.nodes import CONFLIST, members
from tests.fakes.checks.objects import lease, namespace_object, node_object, pod_object, rollout, stamp
from tests.fakes.checks.world import World, make_world
from tests.fakes.node.credentials import NOW

Spoil = Callable[[World], object]
API = "the_api_server_is_ready_and_serves_every_api"
LEASES = "the_scheduler_and_the_controller_manager_renew_their_leases"
ETCD = "etcd_is_healthy_with_all_its_members"
NODES = "the_cluster_has_the_nodes_of_lab_yaml_and_no_others"
ROLES = "every_node_has_its_role"
MARKS = "every_node_has_its_labels_and_taints"
VERSION = "the_control_plane_has_the_requested_version"
READY = "every_node_is_ready"
HEARTBEATS = "every_kubelet_has_reported_recently"
SYSTEM = "everything_in_kube_system_is_ready"
RESTARTS = "no_container_of_kube_system_has_restarted_since_the_last_step"
VITAL = "what_the_cluster_lives_by_in_other_namespaces_is_ready"
NETWORK = "the_pod_network_is_the_one_asked_for_and_no_other"
FAILING = 'an error on the server ("[+]ping ok\\n[-]etcd failed: reason withheld\\n") has prevented'


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def not_ready(kind: str, name: str, condition: str = "Ready") -> Spoil:
    def spoil(world: World) -> None:
        conditions = world.find(kind, name)["status"]["conditions"]
        next(each for each in conditions if each["type"] == condition)["status"] = "False"

    return spoil


def add(*objects: dict[str, Any]) -> Spoil:
    return lambda world: world.objects.extend(objects)


def drop(kind: str, name: str) -> Spoil:
    return lambda world: world.objects.remove(world.find(kind, name))


def stale(name: str, ago: float) -> Spoil:
    return lambda world: world.find("Lease", name)["spec"].update(renewTime=stamp(ago))


def restarted(ago: float | None) -> Spoil:
    """Let CoreDNS have ended so long before NOW, or not tell when."""
    last = {} if ago is None else {"terminated": {"finishedAt": stamp(ago)}}
    state = {"waiting": {}} if ago is None else {"running": {"startedAt": stamp(ago - 10)}}

    def spoil(world: World) -> None:
        (status,) = world.find("Pod", "coredns-x")["status"]["containerStatuses"]
        status.update(restartCount=2, lastState=last, state=state)

    return spoil


def phase(name: str, **status: object) -> Spoil:
    return lambda world: world.find("Pod", name)["status"].update(status)


def pending(namespace: str, priority: str | None = None) -> dict[str, Any]:
    pod = pod_object("web-1", "web", "web:1", namespace)
    pod["spec"]["priorityClassName"] = priority
    pod["status"] = {
        "phase": "Pending",
        "conditions": [{"type": "x", "status": "False", "message": "no room"}],
    }
    return pod


def etcd(answer: str) -> Spoil:
    return lambda world: world.first.program("curl", f"echo '{answer}'")


def conflist(path: str, text: str) -> Spoil:
    return lambda world: world.worker.write(path, text)


def phantom(world: World) -> None:
    found = node_object(world.ctx.inventory.first)
    found["metadata"] = {"name": "phantom"}
    world.objects.append(found)


FAULTS: list[tuple[Spoil, str, str]] = [
    (
        lambda world: world.api.answer("get --raw /livez*", stderr=FAILING, code=1),
        API,
        "failing checks of /livez .*: etcd$",
    ),
    (
        lambda world: world.api.answer("get --raw /readyz*", stderr="refused", code=1),
        API,
        "/readyz .* refused",
    ),
    (not_ready("APIService", "v1.", "Available"), API, "API services are not available: v1.$"),
    (stale("kube-scheduler", 21.5), LEASES, "kube-scheduler, last renewed 2[12] s ago"),
    (drop("Lease", "kube-controller-manager"), LEASES, "kube-controller-manager has no Lease"),
    (etcd(members("lab-cp1", "lab-cp2")), ETCD, "lab-cp1, lab-cp2, not lab-cp1"),
    (etcd(members("lab-cp1", "")), ETCD, "a member that never started, lab-cp1, not"),
    (etcd(members("lab-cp1", learner=True)), ETCD, "still learners: lab-cp1"),
    (etcd("curl: (7) Failed to connect"), ETCD, r"does not answer: curl: \(7\)"),
    (etcd('{"error": "etcdserver: no leader"}'), ETCD, "does not answer: .*no leader"),
    (
        lambda world: world.first.path("/etc/kubernetes/manifests/etcd.yaml").unlink(),
        ETCD,
        "it is not installed",
    ),
    (phantom, NODES, "not in lab.yaml: phantom"),
    (
        lambda world: world.find("Node", "lab-w2")["metadata"].update(
            labels={"node-role.kubernetes.io/control-plane": ""}
        ),
        ROLES,
        "^lab-w2 is a control-plane, not a worker",
    ),
    (lambda world: world.find("Node", "lab-cp1")["metadata"].update(labels={}), ROLES, "lab-cp1 is a worker"),
    (
        lambda world: world.api.answer("get --raw /version", '{"gitVersion": "v1.36.4"}'),
        VERSION,
        "the API server is v1.36.4, but lab.yaml asks for v1.36.3",
    ),
    (
        lambda world: world.find("Pod", "kube-proxy-x")["spec"]["containers"][0].update(
            image="r:5/p:v1.35.0@sha256:0"
        ),
        VERSION,
        "kube-proxy-x runs r:5/p:v1.35.0",
    ),
    (not_ready("Node", "lab-w1"), READY, "not Ready: lab-w1: Ready said$"),
    (stale("lab-w2", 60), HEARTBEATS, "not renewed their Leases: lab-w2, last renewed 60 s ago"),
    (drop("Lease", "lab-w2"), HEARTBEATS, "lab-w2 has no Lease"),
    (not_ready("Pod", "coredns-x"), SYSTEM, "pod kube-system/coredns-x is Running"),
    (drop("Pod", "kube-scheduler-lab-cp1"), SYSTEM, "kube-scheduler is not running on lab-cp1"),
    (
        lambda world: world.find("Deployment", "coredns")["status"].update(readyReplicas=0),
        SYSTEM,
        "deployment kube-system/coredns: 0 of 1 ready",
    ),
    (
        lambda world: world.find("DaemonSet", "kube-proxy")["status"].update(observedGeneration=0),
        SYSTEM,
        "daemonset kube-system/kube-proxy",
    ),
    (
        lambda world: world.find("Node", "lab-cp1").update(spec={"taints": []}),
        MARKS,
        "lab-cp1 has the taints none, not node-role.kubernetes.io/control-plane:NoSchedule",
    ),
    (restarted(ago=590), RESTARTS, r"coredns of coredns-x \(restarts in total: 2\)"),
    (restarted(ago=None), RESTARTS, "coredns of coredns-x"),
    (add(pending("cni", "system-node-critical")), VITAL, "pod cni/web-1 is Pending: no room"),
    (
        conflist("/etc/cni/net.d/99-x.conf", '{"type": "ptp"}'),
        NETWORK,
        r"bridge \(.*\), ptp \(/etc/cni/net.d/99-x",
    ),
    (
        conflist(CONFLIST, '{"plugins": [{"type": "calico"}]}'),
        NETWORK,
        "pod network bridge: lab-w1 has calico",
    ),
    (conflist(CONFLIST, "not JSON"), NETWORK, "lab-w1 has an unreadable configuration"),
    (lambda world: world.worker.path(CONFLIST).unlink(), NETWORK, "lab-w1 has none"),
    (add(rollout("DaemonSet", "calico-node", "calico-system")), NETWORK, "calico runs in the cluster"),
]


@pytest.mark.parametrize(
    ("spoil", "test", "said"), FAULTS, ids=[f"{fault[1]}-{fault[2]}" for fault in FAULTS]
)
def test_what_is_wrong_turns_one_test_red(world: World, spoil: Spoil, test: str, said: str) -> None:
    spoil(world)
    red = world.red()
    assert {name: set(nodes) for name, nodes in red.items()} == {test: {""}}
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(red[test][""].partition("\nassert")[0])


def test_a_node_that_is_gone_is_missed_by_all_that_ask_for_it(world: World) -> None:
    drop("Node", "lab-w2")(world)
    red = world.red()
    assert red[NODES] == {"": red[NODES][""]}
    assert "not in the cluster: lab-w2" in red[NODES][""]
    assert {READY, "every_node_has_its_own_internal_ip", "the_kubelet_has_the_requested_version"} <= set(red)


def test_what_the_user_broke_is_nobodys_fault(world: World) -> None:
    world.objects.append(pending("default"))
    assert world.red() == {}


def test_what_the_checks_themselves_make_is_nobodys_fault(world: World) -> None:
    world.objects += [namespace_object("web-abc", MANAGED_BY), pending("web-abc")]
    assert world.red() == {}


@pytest.mark.parametrize(("factor", "red"), [(1.0, {HEARTBEATS}), (10.0, set())])
def test_an_emulated_node_may_take_longer_to_report(tmp_path: Path, factor: float, red: set[str]) -> None:
    world = make_world(tmp_path, factor=factor)
    stale("lab-w1", 28)(world)
    assert set(world.red()) == red


def test_a_lease_from_a_clock_that_is_ahead_is_fresh(world: World) -> None:
    stale("lab-w1", -300)(world)
    assert world.red() == {}


def test_a_restart_before_the_last_step_ended_is_past(world: World) -> None:
    restarted(ago=601)(world)
    assert world.red() == {}


def log(world: World, moment: float, event: str, **fields: object) -> None:
    """Write a run log whose only event came at `moment`."""
    run = RunLog(world.ctx.workspace.run_log, now=lambda: dt.datetime.fromtimestamp(moment, dt.UTC))
    run.event(event, dict(fields))
    run.close()


def test_the_last_step_is_found_in_the_run_logs_of_the_last_commands(world: World) -> None:
    workspace = world.ctx.workspace
    assert last_step(workspace) == NOW - 600
    log(world, NOW - 400, "step_done", id="ready", seconds=1.0, changed=True)
    log(world, NOW - 300, "step_skipped", id="snapshot", why="already done")
    log(world, NOW - 200, "step_started", id="verify", title="Verify")
    log(world, NOW - 100, "step_done", id="verify", seconds=1.0, changed=True)
    assert last_step(workspace) == NOW - 300
    restarted(ago=350)(world)
    assert world.red() == {}
    restarted(ago=250)(world)
    assert set(world.red()) == {RESTARTS}


def test_a_kubeconfig_that_was_renewed_ends_a_step_too(world: World) -> None:
    log(world, NOW - 700, "step_done", id="ready", seconds=1.0, changed=True)
    assert last_step(world.ctx.workspace) == NOW - 600
    os.utime(world.ctx.workspace.kubeconfig, (NOW, NOW))
    assert last_step(world.ctx.workspace) == NOW


def test_the_cluster_is_asked_once_for_everything(world: World) -> None:
    world.api.answer("get nodes,*", json.dumps({"items": world.objects}))
    found = look(LabKubectl(world.ctx))
    assert len(world.api.calls) == 1
    assert {item["kind"] for item in found.objects} == {
        "Node",
        "Namespace",
        "Pod",
        "Deployment",
        "DaemonSet",
        "Lease",
        "APIService",
    }
    assert found.node("lab-w1") == world.find("Node", "lab-w1")
    assert found.lease_age("kube-system", "nobody") is None


def test_a_lease_that_nobody_holds_counts_as_none() -> None:
    item = lease("kube-node-lease", "lab-w1")
    item["spec"] = {}
    assert ClusterState((item,), NOW).lease_age("kube-node-lease", "lab-w1") is None


def without_network(tmp_path: Path) -> tuple[World, AllFacts]:
    world = make_world(tmp_path, cni="none")
    return world, gather(world.ctx)


def test_with_cni_none_any_network_will_do_that_is_alone(tmp_path: Path) -> None:
    world, _ = without_network(tmp_path)
    for node in world.nodes.values():
        node.write(CONFLIST, '{"plugins": [{"type": "weave-net"}]}')
    world.objects.append(rollout("DaemonSet", "weave-net"))
    assert world.red() == {}
    world.worker.write("/etc/cni/net.d/99-other.conf", '{"type": "ptp"}')
    assert set(world.red()) == {NETWORK}


def test_what_waits_for_the_users_network_is_skipped(tmp_path: Path) -> None:
    world, facts = without_network(tmp_path)
    pod_network = checks_conftest.pod_network.__wrapped__
    assert pod_network(world.lab, facts) is None
    for node in world.nodes.values():
        node.path(CONFLIST).unlink()
    with pytest.raises(pytest.skip.Exception, match="no pod network is installed"):
        pod_network(world.lab, gather(world.ctx))
    own = make_world(tmp_path / "bridge")
    for node in own.nodes.values():
        node.path(CONFLIST).unlink()
    assert pod_network(own.lab, gather(own.ctx)) is None
