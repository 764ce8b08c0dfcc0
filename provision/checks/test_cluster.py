"""The cluster as a whole: its API, control plane, nodes, and the pods of kube-system."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from provision.checks.answers import ended, etcd_fault, plugins, tag
from provision.checks.facts import CNI_FOLDER, AllFacts
from provision.checks.state import ClusterState, last_step
from provision.cluster import marks
from provision.cluster.api_health import PATIENCE, failing_checks
from provision.cluster.health import COMPONENTS, KUBE_SYSTEM, condition, problems, role_of
from provision.cluster.leaders import LEADERS, NODE_LEASES
from provision.config.inventory import Inventory
from provision.errors import ToolFailed
from provision.testing.kubectl import LabKubectl
from provision.testing.lab import LabUnderTest

pytestmark = pytest.mark.quick

SYSTEM_PODS = "kubelab kubectl -- -n kube-system get pods -o wide"
NODES = "kubelab kubectl -- get nodes -o wide"
ENDPOINTS = ("/readyz", "/livez")
VERSIONED = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
# A kubelet renews its Lease at least every ten seconds, the leaders more often.
LEASE_SECONDS, LEASE_SLACK = 20.0, 1.0
# The end of a container is in the node's time, the end of a step in the host's: this much they may differ.
CLOCK_SECONDS = 2.0
# Whose nodes are looked at elsewhere.
NOBODY = Inventory(nodes=(), gateway="")
# The CNI's name in lab.yaml -> the first plugin in a node's CNI configuration. DaemonSet -> the CNI it is of.
PLUGINS = {"bridge": "bridge", "calico": "calico", "cilium": "cilium-cni", "flannel": "flannel"}
DAEMON_SETS = {
    "antrea-agent": "antrea",
    "calico-node": "calico",
    "canal": "canal",
    "cilium": "cilium",
    "kindnet": "kindnet",
    "kube-flannel-ds": "flannel",
    "kube-router": "kube-router",
    "weave-net": "weave",
}


@pytest.mark.look("kubelab kubectl -- get --raw '/readyz?verbose'; kubelab kubectl -- get apiservices")
def test_the_api_server_is_ready_and_serves_every_api(lab: LabUnderTest, cluster: ClusterState) -> None:
    ctx, patience = lab.context, lab.scaled(PATIENCE)
    for path in ENDPOINTS:
        try:
            failing = failing_checks(ctx.kubectl, path, patience=patience, clock=ctx.clock)
        except ToolFailed as error:
            failing = [error.details]
        assert not failing, f"failing checks of {path} of the API server: {', '.join(failing)}"
    away = [
        item["metadata"]["name"]
        for item in cluster.all("APIService")
        if condition(item, "Available") != "True"
    ]
    assert not away, f"these API services are not available: {', '.join(away)}"


@pytest.mark.look("kubelab kubectl -- -n kube-system get leases,pods")
def test_the_scheduler_and_the_controller_manager_renew_their_leases(
    lab: LabUnderTest, cluster: ClusterState
) -> None:
    stale = _stale(cluster, lab, KUBE_SYSTEM, list(LEADERS))
    assert not stale, f"Leases were not renewed: {'; '.join(stale)}"


@pytest.mark.look("kubelab kubectl -- -n kube-system logs -l component=etcd")
def test_etcd_is_healthy_with_all_its_members(lab: LabUnderTest, facts: AllFacts) -> None:
    wanted = [node.name for node in lab.inventory.control_planes]
    faults = [text for name in wanted if (text := etcd_fault(name, facts[name].etcd, wanted))]
    assert not faults, "; ".join(faults)


@pytest.mark.look(NODES)
def test_the_cluster_has_the_nodes_of_lab_yaml_and_no_others(
    lab: LabUnderTest, cluster: ClusterState
) -> None:
    wanted = {node.name for node in lab.inventory.nodes}
    found = {item["metadata"]["name"] for item in cluster.all("Node")}
    assert not wanted - found, f"not in the cluster: {', '.join(sorted(wanted - found))}"
    assert not found - wanted, f"in the cluster, but not in lab.yaml: {', '.join(sorted(found - wanted))}"


@pytest.mark.look(NODES)
def test_every_node_has_its_role(lab: LabUnderTest, cluster: ClusterState) -> None:
    faults = [
        f"{node.name} is a {role}, not a {node.role}"
        for node in lab.inventory.nodes
        if (role := role_of(cluster.node(node.name))) != node.role
    ]
    assert not faults, "; ".join(faults)


@pytest.mark.look("kubelab diff; kubelab kubectl -- describe nodes")
def test_every_node_has_its_labels_and_taints(lab: LabUnderTest, cluster: ClusterState) -> None:
    faults = []
    for node in lab.inventory.nodes:
        found, wanted = marks.seen(cluster.node(node.name), node), marks.wanted(node)
        if found.labels != wanted.labels:
            faults.append(f"{node.name} has the labels {found.labels_text}, not {wanted.labels_text}")
        if found.taints != wanted.taints:
            faults.append(f"{node.name} has the taints {found.taints_text}, not {wanted.taints_text}")
    assert not faults, "; ".join(faults)


@pytest.mark.look(f"{SYSTEM_PODS}; kubelab kubectl -- version")
def test_the_control_plane_has_the_requested_version(
    lab: LabUnderTest, kubectl: LabKubectl, cluster: ClusterState
) -> None:
    wanted = f"v{lab.version}"
    server = json.loads(kubectl.text("get", "--raw", "/version"))["gitVersion"]
    assert server == wanted, f"the API server is {server}, but lab.yaml asks for {wanted}"
    faults = [
        f"{pod['metadata']['name']} runs {container['image']}"
        for pod in _system(cluster, "Pod")
        for container in pod["spec"]["containers"]
        if container["name"] in VERSIONED and tag(container["image"]) != wanted
    ]
    assert not faults, f"lab.yaml asks for {wanted}: {'; '.join(faults)}"


@pytest.mark.look("kubelab kubectl -- describe nodes")
@pytest.mark.usefixtures("pod_network")
def test_every_node_is_ready(lab: LabUnderTest, cluster: ClusterState) -> None:
    faults = []
    for node in lab.inventory.nodes:
        item = cluster.node(node.name)
        if condition(item, "Ready") != "True":
            conditions = item["status"].get("conditions") or []
            said = next((each.get("message") for each in conditions if each["type"] == "Ready"), None)
            faults.append(f"{node.name}: {said or 'its kubelet has not reported'}")
    assert not faults, f"not Ready: {'; '.join(faults)}"


@pytest.mark.look("kubelab kubectl -- -n kube-node-lease get leases -o yaml")
def test_every_kubelet_has_reported_recently(lab: LabUnderTest, cluster: ClusterState) -> None:
    stale = _stale(cluster, lab, NODE_LEASES, [node.name for node in lab.inventory.nodes])
    assert not stale, f"kubelets have not renewed their Leases: {'; '.join(stale)}"


@pytest.mark.look(SYSTEM_PODS)
@pytest.mark.usefixtures("pod_network")
def test_everything_in_kube_system_is_ready(lab: LabUnderTest, cluster: ClusterState) -> None:
    pods = _system(cluster, "Pod")
    there = {pod["metadata"]["name"] for pod in pods}
    faults = [
        f"{component} is not running on {node.name}"
        for node in lab.inventory.control_planes
        for component in COMPONENTS
        if f"{component}-{node.name}" not in there
    ]
    faults += problems([*pods, *_system(cluster, "Deployment"), *_system(cluster, "DaemonSet")], NOBODY)
    assert not faults, "; ".join(faults)


@pytest.mark.look("kubelab kubectl -- -n kube-system logs --previous POD")
def test_no_container_of_kube_system_has_restarted_since_the_last_step(
    lab: LabUnderTest, cluster: ClusterState
) -> None:
    since = last_step(lab.context.workspace) + CLOCK_SECONDS
    faults = [
        f"{status['name']} of {pod['metadata']['name']} (restarts in total: {status['restartCount']})"
        for pod in _system(cluster, "Pod")
        for status in pod["status"].get("containerStatuses") or []
        if status.get("restartCount") and ended(status, cluster.time) > since
    ]
    assert not faults, f"restarted since the last step of kubelab ended: {'; '.join(faults)}"


@pytest.mark.look("kubelab kubectl -- get events -A --field-selector=type=Warning")
@pytest.mark.usefixtures("pod_network")
def test_what_the_cluster_lives_by_in_other_namespaces_is_ready(cluster: ClusterState) -> None:
    objects = [*cluster.all("Pod"), *cluster.all("Deployment"), *cluster.all("DaemonSet")]
    faults = problems([item for item in objects if item["metadata"]["namespace"] != KUBE_SYSTEM], NOBODY)
    assert not faults, "; ".join(faults)


@pytest.mark.look(f"kubelab ssh NODE -- ls {CNI_FOLDER}; kubelab kubectl -- get daemonsets -A")
@pytest.mark.usefixtures("pod_network")
def test_the_pod_network_is_the_one_asked_for_and_no_other(
    lab: LabUnderTest, facts: AllFacts, cluster: ClusterState
) -> None:
    wanted = lab.context.cni.name
    faults = []
    for node in lab.inventory.nodes:
        found = plugins(facts[node.name].below(f"{CNI_FOLDER}/"))
        # With `cni: none` any plugin is right, as long as there is only one.
        if len(found) != 1 or PLUGINS.get(wanted) not in (None, *found.values()):
            names = ", ".join(f"{kind} ({path})" for path, kind in found.items()) or "none"
            faults.append(f"{node.name} has {names}")
    brought = {DAEMON_SETS.get(item["metadata"]["name"], wanted) for item in cluster.all("DaemonSet")}
    if wanted in PLUGINS:
        faults += [f"{name} runs in the cluster" for name in sorted(brought - {wanted})]
    assert not faults, f"lab.yaml asks for the pod network {wanted}: {'; '.join(faults)}"


def _system(cluster: ClusterState, kind: str) -> list[dict[str, Any]]:
    return [item for item in cluster.all(kind) if item["metadata"]["namespace"] == KUBE_SYSTEM]


def _stale(cluster: ClusterState, lab: LabUnderTest, namespace: str, names: Sequence[str]) -> list[str]:
    """Return which of the Leases were not renewed for too long."""
    limit = LEASE_SECONDS + lab.scaled(LEASE_SLACK)
    ages = {name: cluster.lease_age(namespace, name) for name in names}
    never = [f"{name} has no Lease" for name, age in ages.items() if age is None]
    return never + [
        f"{name}, last renewed {age:.0f} s ago"
        for name, age in ages.items()
        if age is not None and age > limit
    ]
