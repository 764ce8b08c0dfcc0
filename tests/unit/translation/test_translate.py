"""Files of other tools become a lab.yaml that kubelab itself takes, and what is lost is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from provision.cli import group
from provision.config.inventory import inventory_of
from provision.config.schema import ClusterConfig, load_config
from provision.config.values import SUPPORTED_MINORS
from provision.errors import ConfigError
from provision.translation.translate import translate

KIND = """
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
name: Remote_Cluster-1
featureGates: {Some: true}
networking:
  podSubnet: "10.1.0.0/16,fd00:10:244::/56"
  serviceSubnet: 10.112.0.0/16
  apiServerPort: 6443
  disableDefaultCNI: true
nodes:
- role: control-plane
  image: kindest/node:v1.36.1@sha256:aaaa
  kubeadmConfigPatches: ["a: b"]
  extraPortMappings: [{containerPort: 80, hostPort: 80}]
- role: worker
  labels: {color: white}
- role: worker
  extraMounts: [{hostPath: /a, containerPath: /b}]
"""
SETTINGS = """
---
cluster_name: Kubernetes Cluster
network:
  control_ip: 10.0.0.10
  dns_servers: [8.8.8.8]
  pod_cidr: 172.16.1.0/16
  service_cidr: 172.17.1.0/18
nodes:
  control: {cpu: 2, memory: 4096}
  workers: {count: 3, cpu: 1, memory: 2048}
software:
  box: bento/ubuntu-22.04
  calico: 3.26.0
  kubernetes: 1.28.2-*
  os: xUbuntu_22.04
"""
K0SCTL = """
apiVersion: k0sctl.k0sproject.io/v1beta1
kind: Cluster
metadata: {name: k0s-cluster}
spec:
  hosts:
  - role: controller
    ssh: {address: 10.0.0.1, user: root, keyPath: ~/.ssh/id_rsa}
  - role: controller+worker
    ssh: {address: 10.0.0.2}
    hooks: {apply: {before: [date]}}
  - role: controller
    ssh: {address: 10.0.0.3}
  - role: worker
    ssh: {address: 10.0.0.4}
    someday: yes
  k0s:
    version: v1.99.1+k0s.0
    config:
      apiVersion: k0s.k0sproject.io/v1beta1
      kind: Cluster
      spec:
        network: {provider: calico, podCIDR: 10.200.0.0/16, calico: {mode: vxlan}}
        api: {sans: [my.name]}
"""


def translated(folder: Path, text: str) -> tuple[ClusterConfig, dict[str, str]]:
    """Return the lab that is made of a text, and what is lost: key -> what is said of it."""
    source, target = folder / "source.yaml", folder / "lab.yaml"
    source.write_text(text)
    made, lost = translate(source)
    target.write_text(made)
    assert all("\n" not in f"{key}{what}" for key, what in lost)
    return load_config(target), dict(lost)


def test_kinds_file(tmp_path: Path) -> None:
    config, lost = translated(tmp_path, KIND)
    assert (config.name, config.kubernetes, config.cni.name) == ("remote-cluster-1", "1.36.1", "none")
    assert (config.control_planes.count, config.workers.count) == (1, 2)
    assert (str(config.network.pods), str(config.network.services)) == ("10.1.0.0/16", "10.112.0.0/16")
    assert lost.keys() == {
        "name",
        "featureGates",
        "networking.podSubnet",
        "networking.apiServerPort",
        "nodes[].kubeadmConfigPatches",
        "nodes[].extraPortMappings",
        "nodes[].labels",
        "nodes[].extraMounts",
    }
    assert "kubelab kubectl label" in lost["nodes[].labels"]


def test_kinds_smallest_file_is_one_machine(tmp_path: Path) -> None:
    config, lost = translated(tmp_path, "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n")
    assert [node.name for node in inventory_of(config).nodes] == ["kind-cp1"]
    assert lost == {}


def test_a_vagrant_projects_settings(tmp_path: Path) -> None:
    config, lost = translated(tmp_path, SETTINGS)
    assert (config.name, config.kubernetes, config.cni.name) == (
        "kubernetes-cluster",
        SUPPORTED_MINORS[0],
        "calico",
    )
    assert (config.control_planes.cpus, config.control_planes.memory) == (2, 4096)
    assert (config.workers.count, config.workers.cpus, config.workers.memory) == (3, 1, 2048)
    ranges = {key: str(value) for key, value in config.network.ranges().items()}
    assert ranges == {"nodes": "10.0.0.0/24", "pods": "172.16.0.0/16", "services": "172.17.0.0/18"}
    assert "1.28.2" in lost["software.kubernetes"]
    assert "10.0.0.11" in lost["network.control_ip"]
    assert "172.16.0.0/16" in lost["network.pod_cidr"]
    assert {"network.dns_servers", "software.box", "software.os", "software.calico"} <= lost.keys()


def test_k0sctls_file(tmp_path: Path) -> None:
    config, lost = translated(tmp_path, K0SCTL)
    assert (config.name, config.kubernetes, config.cni.name) == (
        "k0s-cluster",
        SUPPORTED_MINORS[-1],
        "calico",
    )
    assert (config.control_planes.count, config.workers.count) == (3, 1)
    assert str(config.network.pods) == "10.200.0.0/16"
    assert "only 1 for now" in lost["spec.hosts[].role"] or "taint" in lost["spec.hosts[].role"]
    assert lost["spec.hosts[].someday"] == "lab.yaml has no key for it"
    assert {"spec.hosts[].ssh", "spec.hosts[].hooks", "spec.k0s.version"} <= lost.keys()
    assert {"spec.k0s.config.spec.api", "spec.k0s.config.spec.network.calico.mode"} <= lost.keys()


NODES = "apiVersion: kind.x-k8s.io/v1alpha4\nnodes:\n"


@pytest.mark.parametrize(
    ("text", "key", "told"),
    [
        (NODES + "- role: control-plane\n" * 2, "nodes[].role", "1 is written"),
        (NODES + "- {role: control-plane, image: 'x:latest'}\n", "nodes[].image", "names no version"),
        (NODES + "- {role: control-plane}\n- {role: infra}\n", "nodes[].role", "infra is no role"),
        (NODES + "- role: worker\n" * 60, "workers.count", "0 to 50"),
        ("nodes: {workers: {memory: 512}}\n", "nodes.workers.memory", "1024MiB is written"),
        ("nodes: {control: {cpu: 1}}\n", "nodes.control.cpu", "2 is written"),
        ("nodes: {control: {cpu: many}}\n", "nodes.control.cpu", "is no number"),
        ("nodes: {control: {cpu: 999}}\n", "controlPlanes.cpus", "left out"),
        (
            "nodes: {control: {}, workers: {count: 1}}\nnetwork: {pod_cidr: fd00::/64}\n",
            "network.pod_cidr",
            "IPv4",
        ),
        ("nodes: {control: {cpu: 2}}\nnetwork: {pod_cidr: 8.8.0.0/16}\n", "network.pods", "left out"),
        ("nodes: {control: {cpu: 2}}\nnetwork: {pod_cidr: 10.96.0.0/16}\n", "network.pods", "overlaps"),
    ],
)
def test_what_is_not_allowed_becomes_the_nearest_or_the_default(
    tmp_path: Path, text: str, key: str, told: str
) -> None:
    _, lost = translated(tmp_path, text)
    assert told in lost.get(key, f"{lost}")


@pytest.mark.parametrize("text", ["name: lab\n", "apiVersion: v1\nkind: Pod\n", "- a\n", "a: [\n", ""])
def test_a_file_of_no_tool_that_is_known_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError):
        translated(tmp_path, text)


@pytest.mark.parametrize("amount", [4096, "4096", "4GiB", "4G", "4096MB", "4096MiB"])
def test_memory_is_understood_with_and_without_a_unit(tmp_path: Path, amount: object) -> None:
    text = yaml.safe_dump({"nodes": {"workers": {"memory": amount}}})
    assert translated(tmp_path, text)[0].workers.memory == 4096


# The command


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("kind.yaml").write_text(KIND)
    return tmp_path


def test_the_command_writes_lab_yaml_and_tells_what_is_lost_on_standard_error(folder: Path) -> None:
    told = CliRunner().invoke(group, ["import", "kind.yaml"])
    assert told.exit_code == 0
    assert "wrote lab.yaml" in told.stdout
    assert "warning: nodes[].labels: after `kubelab up`" in told.stderr
    assert load_config(Path("lab.yaml")).name == "remote-cluster-1"


def test_the_command_writes_over_no_file(folder: Path) -> None:
    Path("lab.yaml").write_text("name: mine\n")
    told = CliRunner().invoke(group, ["import", "kind.yaml"])
    assert told.exit_code == 2
    assert Path("lab.yaml").read_text() == "name: mine\n"
    assert CliRunner().invoke(group, ["import", "kind.yaml", "--out", "other.yaml"]).exit_code == 0
    assert load_config(Path("other.yaml")).workers.count == 2


def test_programs_get_what_is_lost_as_data(folder: Path) -> None:
    told = CliRunner().invoke(group, ["import", "kind.yaml", "--json"])
    events: list[dict[str, Any]] = [json.loads(line) for line in told.stdout.splitlines()]
    data = next(event["data"] for event in events if event["event"] == "result")
    assert data["file"] == "lab.yaml"
    assert {"key": "featureGates", "text": translated(folder, KIND)[1]["featureGates"]} in data["lost"]
