from __future__ import annotations

from typing import Any

import pytest

from provision.cluster.kubeadm_config import Made, made_with

DOCUMENT = """
kubernetesVersion: v1.36.3
networking: {dnsDomain: cluster.local, podSubnet: 10.244.0.0/16, serviceSubnet: 10.96.0.0/12}
"""


def config_map(namespace: str, data: dict[str, str] | None) -> dict[str, Any]:
    metadata = {"name": "kubeadm-config", "namespace": namespace}
    return {"kind": "ConfigMap", "metadata": metadata, "data": data}


def test_the_version_and_the_ranges_are_those_of_kubeadms_own_map() -> None:
    node = {"kind": "Node", "metadata": {"name": "kubeadm-config"}}
    anothers = config_map("default", {"ClusterConfiguration": "kubernetesVersion: v1.1.1"})
    own = config_map("kube-system", {"ClusterConfiguration": DOCUMENT})
    assert made_with([node, anothers, own]) == Made("1.36.3", "10.244.0.0/16", "10.96.0.0/12")
    assert made_with([node, anothers]) is None


@pytest.mark.parametrize("text", ["", "{", "- x", "networking: none", "kubernetesVersion:", "a: !!int ''"])
def test_what_a_user_made_of_it_is_not_known(text: str) -> None:
    assert made_with([config_map("kube-system", {"ClusterConfiguration": text})]) == Made()
    assert made_with([config_map("kube-system", None)]) == Made()
