"""Kubernetes' own programs: each runs with what lab.yaml has for it."""

from __future__ import annotations

import json

import pytest

from provision.checks.answers import command_of
from provision.checks.facts import AllFacts
from provision.checks.state import ClusterState
from provision.cluster.fragments import contains
from provision.config.fragments import GATES
from provision.testing.kubectl import LabKubectl
from provision.testing.lab import LabUnderTest
from provision.testing.node import LabNode

pytestmark = pytest.mark.quick


@pytest.mark.look("kubelab kubectl -- -n kube-system get pods -l tier=control-plane -o yaml")
def test_the_control_plane_runs_with_the_arguments_asked_for(
    lab: LabUnderTest, cluster: ClusterState
) -> None:
    faults = []
    for node in lab.inventory.control_planes:
        for component, asked in lab.config.kubeadm.arguments().items():
            command = command_of(cluster.all("Pod"), f"{component}-{node.name}")
            missing = [text for name, value in asked.items() if (text := f"--{name}={value}") not in command]
            faults += [f"{component} on {node.name} runs without {text}" for text in missing]
    assert not faults, "; ".join(faults)


@pytest.mark.look("kubelab kubectl -- get --raw /api/v1/nodes/{node}/proxy/configz")
def test_the_kubelet_runs_with_the_configuration_asked_for(
    node: LabNode, lab: LabUnderTest, kubectl: LabKubectl
) -> None:
    answer = kubectl.text("get", "--raw", f"/api/v1/nodes/{node.name}/proxy/configz")
    found = json.loads(answer)["kubeletconfig"]
    asked = {"clusterDomain": lab.config.kubeadm.cluster_domain, **lab.config.kubelet}
    if lab.config.kubeadm.feature_gates:
        asked[GATES] = lab.config.kubeadm.feature_gates
    faults = [
        f"{key} is {json.dumps(found.get(key))}, not {json.dumps(value)}"
        for key, value in asked.items()
        if not contains(found.get(key), value)
    ]
    assert not faults, f"the kubelet on {node.name}: {'; '.join(faults)}"


@pytest.mark.look("kubelab kubectl -- -n kube-system logs -l k8s-app=kube-proxy")
def test_kube_proxy_runs_in_the_mode_asked_for(node: LabNode, lab: LabUnderTest, facts: AllFacts) -> None:
    if lab.config.cni.replaces_kube_proxy:
        pytest.skip("the pod network does the work of kube-proxy")
    mode, wanted = facts[node.name].proxy_mode, lab.config.proxy_mode
    assert mode == wanted, f"kube-proxy on {node.name} says {mode or 'nothing'} of its mode, not {wanted}"
