from __future__ import annotations

from typing import Any

import pytest
import yaml

from provision.cluster.health import (
    condition,
    internal_ips,
    own_problems,
    pod_problem,
    pod_state,
    problems,
    restarts,
    role_of,
    version_of,
)
from provision.config.inventory import inventory_of
from provision.config.schema import parse_config

LAB = inventory_of(parse_config(yaml.safe_dump({"name": "lab", "workers": {"count": 1}})))

Object = dict[str, Any]


def node(name: str, *ips: str, ready: str = "True", message: str = "") -> Object:
    addresses = [{"type": "Hostname", "address": name}]
    addresses += [{"type": "InternalIP", "address": ip} for ip in ips]
    conditions = [
        {"type": "MemoryPressure", "status": "False"},
        {"type": "Ready", "status": ready, "message": message},
    ]
    return {
        "kind": "Node",
        "metadata": {"name": name},
        "status": {"addresses": addresses, "conditions": conditions},
    }


def pod(
    phase: str = "Running",
    *,
    ready: str = "True",
    message: str = "",
    namespace: str = "kube-system",
    priority: str | None = None,
    **status: Any,
) -> Object:
    conditions = [{"type": "Ready", "status": ready, "message": message}]
    return {
        "kind": "Pod",
        "metadata": {"name": "web-1", "namespace": namespace},
        "spec": {"priorityClassName": priority},
        "status": {"phase": phase, "conditions": conditions, **status},
    }


def deployment(*, wanted: int = 2, ready: int = 2, generation: int = 3, seen: int = 3) -> Object:
    return {
        "kind": "Deployment",
        "metadata": {"name": "coredns", "namespace": "kube-system", "generation": generation},
        "spec": {"replicas": wanted},
        "status": {"readyReplicas": ready, "observedGeneration": seen},
    }


def daemonset(
    *, wanted: int = 2, ready: int = 2, generation: int = 1, seen: int = 1, namespace: str = "kube-system"
) -> Object:
    return {
        "kind": "DaemonSet",
        "metadata": {"name": "kube-proxy", "namespace": namespace, "generation": generation},
        "spec": {},
        "status": {
            "desiredNumberScheduled": wanted,
            "numberReady": ready,
            "observedGeneration": seen,
        },
    }


CP, W = node("lab-cp1", "192.168.60.11"), node("lab-w1", "192.168.60.21")
NODES = [CP, W]


def found(*objects: Object, network: bool = True) -> list[str]:
    return problems([*objects], LAB, network=network)


def test_a_whole_cluster_has_no_problem() -> None:
    done = pod("Succeeded", ready="False")
    assert found(*NODES, pod(), done, deployment(), daemonset()) == []


def test_an_empty_answer_is_not_a_healthy_cluster() -> None:
    assert [text.split()[1] for text in found()] == ["lab-cp1", "lab-w1"]


def test_a_node_that_is_missing_is_named() -> None:
    (text,) = found(CP)
    assert "lab-w1" in text
    assert "not in the cluster" in text


@pytest.mark.parametrize("ready", ["False", "Unknown"])
def test_a_node_that_is_not_ready_is_named_with_the_kubelets_words(ready: str) -> None:
    (text,) = found(CP, node("lab-w1", "192.168.60.21", ready=ready, message="cni plugin not initialized"))
    assert "lab-w1" in text
    assert "cni plugin not initialized" in text


def test_a_node_whose_kubelet_never_spoke_is_not_ready() -> None:
    silent = {"kind": "Node", "metadata": {"name": "lab-w1"}, "status": {}}
    ready, address = found(CP, silent)
    assert "lab-w1 is not Ready" in ready
    assert "lab-w1" in address
    assert "192.168.60.21" in address


def test_two_nodes_with_one_address_are_found() -> None:
    # What the first network card of a VirtualBox VM does to a cluster.
    both = [node("lab-cp1", "10.0.2.15"), node("lab-w1", "10.0.2.15")]
    texts = found(*both)
    assert [text.split()[1] for text in texts] == ["lab-cp1", "lab-w1"]
    assert all("10.0.2.15" in text for text in texts)


def test_a_second_internal_address_is_a_problem() -> None:
    (text,) = found(CP, node("lab-w1", "192.168.60.21", "10.0.2.15"))
    assert "lab-w1" in text
    assert "192.168.60.21, 10.0.2.15" in text


def test_a_rollout_that_lacks_a_pod_is_named() -> None:
    texts = found(*NODES, deployment(ready=1), daemonset(ready=0))
    assert texts == [
        "deployment kube-system/coredns: 1 of 2 ready",
        "daemonset kube-system/kube-proxy: 0 of 2 ready",
    ]


def test_a_status_older_than_the_spec_says_nothing() -> None:
    # The counts are those of before the change.
    texts = found(*NODES, deployment(generation=4, seen=3), daemonset(generation=2, seen=1))
    assert [text.split()[0] for text in texts] == ["deployment", "daemonset"]


def test_a_rollout_no_controller_has_seen_is_not_complete() -> None:
    fresh = [{**deployment(), "status": {}}, {**daemonset(), "status": {}}]
    assert len(found(*NODES, *fresh)) == 2


def test_a_deployment_scaled_to_nothing_is_complete() -> None:
    assert found(*NODES, deployment(wanted=0, ready=0)) == []


def test_a_users_daemonset_that_fits_no_node_is_complete_and_the_clusters_own_is_not() -> None:
    assert own_problems([daemonset(wanted=0, ready=0, namespace="default")]) == []
    assert found(*NODES, daemonset(wanted=0, ready=0)) == ["daemonset kube-system/kube-proxy: 0 of 0 ready"]
    unseen = daemonset(wanted=0, ready=0, generation=2, namespace="default")
    assert len(own_problems([unseen])) == 1


def test_what_a_user_broke_is_told_and_does_not_count() -> None:
    broken = pod("Pending", ready="False", message="no room", namespace="default")
    rollout = daemonset(ready=1, namespace="default")
    assert found(*NODES, broken, rollout) == []
    told = ["daemonset default/kube-proxy: 1 of 2 ready", "pod default/web-1 is Pending: no room"]
    assert own_problems([*NODES, broken, rollout, deployment(ready=0)]) == told


@pytest.mark.parametrize(
    ("namespace", "priority"), [("kube-flannel", None), ("calico-system", "system-node-critical")]
)
def test_a_pod_network_counts_in_a_namespace_of_its_own(namespace: str, priority: str | None) -> None:
    broken = pod("Pending", ready="False", namespace=namespace, priority=priority)
    rollout = daemonset(ready=1, namespace=namespace)
    rollout["spec"] = {"template": {"spec": {"priorityClassName": priority}}}
    assert len(found(*NODES, broken, rollout)) == 2
    assert own_problems([broken, rollout]) == []


def test_a_pending_pod_is_named_with_its_reason() -> None:
    lonely = pod("Pending", ready="False", message="0/2 nodes are available")
    assert found(*NODES, lonely) == ["pod kube-system/web-1 is Pending: 0/2 nodes are available"]


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"waiting": {"reason": "ImagePullBackOff"}}, "ImagePullBackOff"),
        ({"terminated": {"reason": "OOMKilled"}}, "OOMKilled"),
    ],
)
def test_a_container_that_does_not_run_says_why(state: Object, reason: str) -> None:
    running = {"name": "side", "state": {"running": {}}}
    broken = pod(ready="False", containerStatuses=[running, {"name": "web", "state": state}])
    assert found(*NODES, broken) == [f"pod kube-system/web-1 is Running: container web {reason}"]


def test_an_init_container_that_fails_is_named_and_not_those_that_wait_for_it() -> None:
    done = {"name": "first", "state": {"terminated": {"reason": "Completed", "exitCode": 0}}}
    stuck = {"name": "second", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    later = {"name": "third", "state": {"waiting": {"reason": "PodInitializing"}}}
    web = {"name": "web", "state": {"waiting": {"reason": "PodInitializing"}}}
    broken = pod("Pending", initContainerStatuses=[done, stuck, later], containerStatuses=[web])
    assert found(*NODES, broken) == [
        "pod kube-system/web-1 is Pending: init container second CrashLoopBackOff"
    ]
    patient = pod("Pending", initContainerStatuses=[done, later], containerStatuses=[web])
    assert found(*NODES, patient) == ["pod kube-system/web-1 is Pending: container web PodInitializing"]


def test_a_pod_that_was_evicted_says_so() -> None:
    assert pod_state({"status": {"phase": "Failed", "reason": "Evicted"}}) == "Failed: Evicted"


def test_running_is_not_ready() -> None:
    assert "not ready yet" in pod_problem(pod(ready="False"))
    assert pod_problem({**pod(), "status": {"phase": "Running"}})


@pytest.mark.parametrize("phase", ["Failed", "Unknown"])
def test_a_pod_that_ended_badly_is_a_problem(phase: str) -> None:
    assert phase in pod_problem(pod(phase))


def test_without_a_pod_network_only_presence_and_addresses_count() -> None:
    waiting = [node("lab-cp1", "192.168.60.11", ready="False"), node("lab-w1", "10.0.2.15", ready="False")]
    (text,) = found(*waiting, pod("Pending", ready="False"), deployment(ready=0), network=False)
    assert "InternalIP 10.0.2.15" in text
    assert len(found(waiting[0], network=False)) == 1


def test_every_problem_is_told_at_once() -> None:
    objects = [node("lab-cp1", "192.168.60.11", ready="False"), pod("Pending"), deployment(ready=0)]
    assert len(found(*objects)) == 4


def test_objects_of_other_kinds_do_no_harm() -> None:
    assert found(*NODES, {"kind": "Service", "metadata": {"name": "kubernetes"}}) == []


def test_what_a_status_lacks_is_unknown_or_nothing() -> None:
    assert condition({}, "Ready") == "Unknown"
    assert condition({"status": {"conditions": None}}, "Ready") == "Unknown"
    assert internal_ips({"status": {"addresses": None}}) == []
    assert restarts({"status": {}}) == 0


def test_a_node_has_the_role_that_kubeadm_labels_it_with() -> None:
    label = {"node-role.kubernetes.io/control-plane": ""}
    assert role_of({"metadata": {"name": "a", "labels": label}}) == "control-plane"
    assert role_of({"metadata": {"name": "b"}}) == "worker"
    assert version_of({"metadata": {"name": "a"}}) == ""


def test_restarts_of_all_containers_are_added_up() -> None:
    statuses = [{"restartCount": 2}, {"restartCount": 1}, {}]
    assert restarts(pod(containerStatuses=statuses)) == 3
