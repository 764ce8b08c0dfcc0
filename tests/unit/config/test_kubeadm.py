"""The keys `kubeadm`, `kubelet` and `kubeProxy`: what kubelab depends on is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from provision.config.schema import ClusterConfig, parse_config
from provision.errors import ConfigError


def parsed(folder: Path | None = None, **keys: Any) -> ClusterConfig:
    return parse_config(yaml.safe_dump({"name": "lab", **keys}), folder=folder)


def refused(**keys: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        parsed(**keys)
    assert caught.value.exit_code == 2
    assert "allowed: " in str(caught.value)
    return caught.value


def test_what_is_said_is_kept(tmp_path: Path) -> None:
    config = parsed(
        tmp_path,
        kubeadm={
            "apiServerExtraArgs": {"audit-log-maxage": "7", "v": "2"},
            "etcdExtraArgs": {"feature-gates": "X=true"},
            "featureGates": {"B": True, "A": False},
            "apiServerCertSANs": ["*.lab.example", "10.1.2.3", "fd00::1", "10.1.2.3"],
            "clusterDomain": "lab.example",
            "patches": "patches",
        },
    )
    assert config.kubeadm.patches == str(tmp_path / "patches")
    assert config.kubeadm.api_server_cert_sans == ("*.lab.example", "10.1.2.3", "fd00::1")
    gates = {"feature-gates": "A=false,B=true"}
    assert config.kubeadm.arguments() == {
        "kube-apiserver": {"audit-log-maxage": "7", "v": "2"} | gates,
        "kube-controller-manager": gates,
        "kube-scheduler": gates,
        "etcd": {"feature-gates": "X=true"},
    }


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("apiServerExtraArgs", {"etcd-servers": "https://x"}, "depends on it"),
        ("apiServerExtraArgs", {"service-cluster-ip-range": "10.0.0.0/8"}, "depends on it"),
        ("apiServerExtraArgs", {"feature-gates": "A=true"}, "kubeadm.featureGates"),
        ("apiServerExtraArgs", {"--v": "2"}, "without dashes"),
        ("apiServerExtraArgs", {"v" * 500: "2"}, "without dashes"),
        ("apiServerExtraArgs", {"v": 2}, "in quotes"),
        ("apiServerExtraArgs", {"v": "2\n3"}, "one line"),
        ("apiServerExtraArgs", {"v": "2" * 5000}, "one line"),
        ("apiServerExtraArgs", ["v=2"], "NAME: VALUE"),
        ("controllerManagerExtraArgs", {"leader-elect-lease-duration": "1s"}, "depends on it"),
        ("schedulerExtraArgs", {"kubeconfig": "/x"}, "depends on it"),
        ("etcdExtraArgs", {"data-dir": "/x"}, "depends on it"),
        ("featureGates", {"A": "true"}, "true or false"),
        ("featureGates", {"a,b": True}, "feature gate"),
        ("apiServerCertSANs", ["https://x"], "DNS name"),
        ("apiServerCertSANs", ["300.1.1.1"], "DNS name"),
        ("apiServerCertSANs", ["fe80::1%\x1b"], "DNS name"),
        ("apiServerCertSANs", "x", "a list"),
        ("clusterDomain", "Lab", "DNS name"),
        ("clusterDomain", "", "DNS name"),
        ("patches", 5, "folder"),
        ("patches", "a\x1bb", "folder"),
    ],
)
def test_what_cannot_be_is_refused_with_its_key(key: str, value: object, said: str) -> None:
    error = refused(kubeadm={key: value})
    assert error.key.startswith(f"kubeadm.{key}")
    assert said in str(error)


def test_an_unknown_key_is_told_the_nearest() -> None:
    assert "apiServerCertSANs" in str(refused(kubeadm={"apiServerCertSans": []}))


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("kubelet", {"cgroupDriver": "cgroupfs"}, "depends on it"),
        ("kubelet", {"authentication": {}}, "depends on it"),
        ("kubelet", {"serverTLSBootstrap": True}, "depends on it"),
        ("kubelet", {"featureGates": {"A": True}}, "kubeadm.featureGates"),
        ("kubelet", {"max pods": 1}, "is no key"),
        ("kubelet", [], "a mapping"),
        ("kubelet", {"maxPods": float("nan")}, "a mapping"),
        ("kubelet", {"evictionHard": {1: "x"}}, "a mapping"),
        ("kubelet", {"evictionHard": {"x": "y" * 40_000}}, "a mapping"),
        ("kubeProxy", {"clusterCIDR": "10.0.0.0/8"}, "depends on it"),
        ("kubeProxy", {"hostnameOverride": "x"}, "depends on it"),
        ("kubeProxy", {"mode": "userspace"}, "nftables, iptables, ipvs"),
        ("kubeProxy", {"mode": ["nftables"]}, "nftables, iptables, ipvs"),
        ("kubeProxy", {"metricsBindAddress": "0.0.0.0:9"}, "0.0.0.0:10249"),
    ],
)
def test_a_fragment_leaves_alone_what_kubelab_depends_on(key: str, value: object, said: str) -> None:
    error = refused(**{key: value})
    assert error.key.startswith(key)
    assert said in str(error)


def test_kube_proxy_cannot_be_configured_where_there_is_none() -> None:
    cilium = {"name": "cilium", "values": {"kubeProxyReplacement": True}}
    assert "kubeProxyReplacement" in str(refused(cni=cilium, kubeProxy={"mode": "nftables"}))
    assert parsed(cni=cilium).proxy_mode == "nftables"
