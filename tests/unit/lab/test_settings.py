"""What a cluster was made with is read from what kubeadm keeps in it, in kubeadm's own spelling."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from provision.config.schema import parse_config
from provision.kubeadm.patches import ANNOTATION, digest
from provision.lab.settings import Settings, changes, settings_in

OWN = ["127.0.0.1", "192.168.60.11"]
# As `kubeadm init` of 1.36 wrote them, shortened.
KUBELET = """
apiVersion: kubelet.config.k8s.io/v1beta1
authentication: {anonymous: {enabled: false}, webhook: {cacheTTL: 0s, enabled: true}}
cgroupDriver: systemd
clusterDNS: [10.96.0.10]
clusterDomain: cluster.local
containerRuntimeEndpoint: ""
crashLoopBackOff: {}
healthzPort: 10248
kind: KubeletConfiguration
logging: {flushFrequency: 0, options: {json: {infoBufferSize: "0"}}, verbosity: 0}
nodeStatusUpdateFrequency: 20s
streamingConnectionIdleTimeout: 0s
"""
KUBE_PROXY = """
bindAddress: 0.0.0.0
bindAddressHardFail: false
clientConnection: {kubeconfig: /var/lib/kube-proxy/kubeconfig.conf, qps: 0}
clusterCIDR: 10.244.0.0/16
conntrack: {maxPerCore: null, udpTimeout: 0s}
mode: nftables
nodePortAddresses: null
"""
CLUSTER = """
apiServer:
  certSANs: [127.0.0.1, 192.168.60.11, api.lab.example]
  extraArgs:
  - {name: etcd-healthcheck-timeout, value: 20s}
  - {name: v, value: "2"}
  - {name: feature-gates, value: A=true}
controllerManager:
  extraArgs: [{name: allocate-node-cidrs, value: "false"}, {name: feature-gates, value: A=true}]
scheduler: {extraArgs: [{name: feature-gates, value: A=true}]}
etcd: {local: {extraArgs: [{name: election-timeout, value: "5000"}]}}
networking: {dnsDomain: lab.example}
"""
ASKED = {
    "apiServerExtraArgs": {"v": "2"},
    "apiServerCertSANs": ["api.lab.example"],
    "featureGates": {"A": True},
    "clusterDomain": "lab.example",
}


def config_map(name: str, key: str, text: str) -> dict[str, Any]:
    return {"kind": "ConfigMap", "metadata": {"name": name, "namespace": "kube-system"}, "data": {key: text}}


def core_dns(**annotations: str) -> dict[str, Any]:
    metadata = {"name": "coredns", "namespace": "kube-system", "annotations": annotations}
    return {"kind": "Deployment", "metadata": metadata}


OBJECTS = [
    config_map("kubeadm-config", "ClusterConfiguration", CLUSTER),
    config_map("kubelet-config", "kubelet", KUBELET),
    config_map("kube-proxy", "config.conf", KUBE_PROXY),
    core_dns(),
]


def differing(settings: Settings, **keys: Any) -> dict[str, tuple[str, str]]:
    """Return key -> what the lab has and what lab.yaml says."""
    config = parse_config(yaml.safe_dump({"name": "lab", "cni": "bridge", "kubeadm": ASKED, **keys}))
    return {key: (lab, file) for key, lab, file in changes(config, settings, OWN)}


def test_what_kubelab_and_kubeadm_put_there_is_no_difference() -> None:
    settings = settings_in(OBJECTS)
    assert differing(settings) == {}
    # What lab.yaml says itself may be the default.
    assert differing(settings, kubeProxy={"mode": "nftables", "bindAddressHardFail": False}) == {}


def test_every_key_of_kubeadm_is_compared_and_told_in_few_words() -> None:
    assert differing(settings_in(OBJECTS), kubeadm={"apiServerExtraArgs": {"v": "3", "w": "1"}}) == {
        "kubeadm.apiServerExtraArgs": ("v=2", "v=3, w=1"),
        "kubeadm.featureGates": ("A=true", "none"),
        "kubeadm.apiServerCertSANs": ("api.lab.example", "none"),
        "kubeadm.clusterDomain": ("lab.example", "cluster.local"),
    }


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ({"streamingConnectionIdleTimeout": "60m"}, "streamingConnectionIdleTimeout: 1h0m0s"),
        ({"logging": {"verbosity": 2}}, "logging: {flushFrequency: 0, options: {}, verbosity: 2}"),
        ({"reservedMemory": [{"limits": {"memory": "1024Mi"}}]}, "reservedMemory: [{limits: {memory: 1Gi}}]"),
        ({"kernelMemcgNotification": False, "podsPerCore": 0, "evictionHard": {}}, ""),
        ({"seccompDefault": False}, "seccompDefault: false"),
    ],
)
def test_a_fragment_is_known_in_kubeadms_own_spelling(asked: dict[str, Any], kept: str) -> None:
    kubelet = {**yaml.safe_load(KUBELET), **(yaml.safe_load(kept) or {})}
    settings = dataclasses.replace(settings_in(OBJECTS), kubelet=kubelet)
    assert differing(settings, kubelet=asked) == {}


def test_an_edit_of_a_fragment_is_seen_either_way() -> None:
    settings = settings_in(OBJECTS)
    # False where nothing stands is another value: the kubelet's own default is true.
    assert differing(settings, kubelet={"seccompDefault": False, "maxPods": 90}) == {
        "kubelet": ("none", "maxPods=90, seccompDefault=false")
    }
    more = dataclasses.replace(settings, kubelet={**yaml.safe_load(KUBELET), "serializeImagePulls": False})
    assert differing(more) == {"kubelet": ("serializeImagePulls=false", "none")}
    assert differing(settings, kubeProxy={"mode": "ipvs", "ipvs": {"strictARP": True}}) == {
        "kubeProxy": ("mode=nftables", 'ipvs={"strictARP": true}, mode=ipvs')
    }


def test_patches_are_known_by_the_mark_that_one_of_them_leaves(tmp_path: Path) -> None:
    text = "metadata: {annotations: {x: y}}\n"
    (tmp_path / "etcd+merge.yaml").write_text(text)
    asked = {**ASKED, "patches": str(tmp_path)}
    assert differing(settings_in(OBJECTS), kubeadm=asked) == {"kubeadm.patches": ("none", str(tmp_path))}
    marked = [*OBJECTS[:-1], core_dns(**{ANNOTATION: digest({"etcd+merge.yaml": text})})]
    assert differing(settings_in(marked), kubeadm=asked) == {}
    assert differing(settings_in(marked)) == {"kubeadm.patches": ("others", "none")}


@pytest.mark.parametrize("text", ["", "{", "- x", "apiServer: 5", "a: !!int ''"])
def test_what_a_user_made_of_the_documents_is_never_a_fault(text: str) -> None:
    objects = [
        config_map("kubelet-config", "kubelet", text),
        config_map("kubeadm-config", "ClusterConfiguration", text),
    ]
    settings = settings_in(objects)
    config = parse_config("{name: lab, cni: bridge}")
    assert list(changes(config, settings, OWN)) in ([], [("kubelet", "apiServer=5", "none")])
    assert {"kubeadm.patches", "kubeProxy"} <= set(settings.unsaid(config))


def test_what_stands_in_a_document_is_data() -> None:
    text = f"{{1: a, b: {{2: c, d: [{'9' * 5000}Ki]}}, 2026-01-01: !!binary aGk=}}"
    settings = settings_in([config_map("kubelet-config", "kubelet", text)])
    ((lab, file),) = differing(settings, kubelet={"x": "9" * 5000 + "h"}).values()
    assert lab.startswith("1=a, 2026-01-01=")
    assert file.startswith("x=999")


def test_what_a_cluster_says_is_shown_without_what_a_terminal_obeys() -> None:
    hostile = dataclasses.replace(settings_in(OBJECTS), kubelet={"x": "\x1b]0;" + "y" * 500})
    ((lab, _),) = differing(hostile).values()
    assert lab.isprintable()
    assert len(lab) < 100
