"""Every node: containerd and the kubelet."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
import yaml

from provision.checks.facts import CONTAINERD_CONFIG, KUBELET_CONFIG, REGISTRIES, AllFacts
from provision.checks.state import ClusterState
from provision.cluster.health import version_of
from provision.node.registries import is_ours
from provision.steps.nodes import hosts_files, wanted_images
from provision.testing.lab import LabUnderTest
from provision.testing.node import LabNode

pytestmark = pytest.mark.quick

# The default of both programs.
DEFAULT_DRIVER = "cgroupfs"
RUNTIME = re.compile(r"containerd://v?(\d+)\.(\d+)\S*")
# From this version of Kubernetes on the kubelet needs containerd 2, which tells it the cgroup driver.
SINCE_2 = (1, 38)
OLDEST, OLDEST_SINCE_2 = (1, 7), (2, 0)


@pytest.mark.look("kubelab ssh {node} -- sudo journalctl -u containerd -e")
def test_containerd_runs_and_starts_at_boot(node: LabNode, facts: AllFacts) -> None:
    unit = facts[node.name].units["containerd"]
    assert unit.active == "active", f"containerd on {node.name} is {unit.active or 'not known to systemd'}"
    assert unit.enabled == "enabled", (
        f"containerd on {node.name} does not start at boot: its unit is {unit.enabled or 'missing'}"
    )


@pytest.mark.look("kubelab ssh {node} -- sudo journalctl -u kubelet -e")
def test_the_kubelet_runs_and_starts_at_boot(node: LabNode, facts: AllFacts) -> None:
    said = facts[node.name]
    unit = said.units["kubelet"]
    assert unit.active == "active", f"the kubelet on {node.name} is {unit.active or 'not known to systemd'}"
    assert unit.enabled == "enabled", (
        f"the kubelet on {node.name} does not start at boot: its unit is {unit.enabled or 'missing'}"
    )
    assert said.healthy, f"the kubelet on {node.name} runs, but its health endpoint does not answer 200"


@pytest.mark.look("kubelab kubectl -- get nodes -o wide")
def test_the_kubelet_has_the_requested_version(
    node: LabNode, lab: LabUnderTest, cluster: ClusterState
) -> None:
    running = version_of(cluster.node(node.name)) or "unknown"
    assert running == f"v{lab.version}", (
        f"the kubelet on {node.name} is {running}, but lab.yaml asks for v{lab.version}"
    )


@pytest.mark.look("kubelab kubectl -- get nodes -o wide")
def test_containerd_has_the_same_version_on_all_nodes(
    node: LabNode, lab: LabUnderTest, cluster: ClusterState
) -> None:
    running, first = (
        str(cluster.node(name)["status"].get("nodeInfo", {}).get("containerRuntimeVersion", "unknown"))
        for name in (node.name, lab.control_plane.name)
    )
    found = RUNTIME.fullmatch(running)
    assert found, f"the container runtime of {node.name} is {running}, not containerd"
    major, minor = lab.version.split(".")[:2]
    oldest = OLDEST_SINCE_2 if (int(major), int(minor)) >= SINCE_2 else OLDEST
    wanted = ".".join(map(str, oldest))
    assert (int(found[1]), int(found[2])) >= oldest, (
        f"{node.name} has {running}; Kubernetes {lab.version} needs {wanted} or newer"
    )
    assert running == first, f"{node.name} has {running}, but {lab.control_plane.name} has {first}"


@pytest.mark.look(f"kubelab ssh {{node}} -- 'grep -i cgroup {CONTAINERD_CONFIG} {KUBELET_CONFIG}'")
def test_kubelet_and_containerd_have_the_same_cgroup_driver(node: LabNode, facts: AllFacts) -> None:
    said = facts[node.name]
    kubelet = (yaml.safe_load(said.file(KUBELET_CONFIG)) or {}).get("cgroupDriver", DEFAULT_DRIVER)
    containerd = _driver(tomllib.loads(said.file(CONTAINERD_CONFIG)))
    assert kubelet == containerd, (
        f"the cgroup driver on {node.name} is {kubelet} for the kubelet, but {containerd} for containerd"
    )


@pytest.mark.look("kubelab up puts them back; kubelab ssh {node} -- sudo ctr -n k8s.io images ls")
def test_every_image_of_the_bundle_is_there_and_pinned(
    node: LabNode, lab: LabUnderTest, facts: AllFacts
) -> None:
    wanted = wanted_images(lab.context)
    missing = ", ".join(sorted({*wanted} - facts[node.name].pinned_images))
    assert not missing, (
        f"{node.name} lacks these images, or they are not pinned and the kubelet may remove them: {missing}"
    )


@pytest.mark.look(f"kubelab up writes them; kubelab ssh {{node}} -- tail -n +1 {REGISTRIES}/*/hosts.toml")
def test_the_registries_are_those_of_lab_yaml(node: LabNode, lab: LabUnderTest, facts: AllFacts) -> None:
    wanted = {path: file.content for path, file in hosts_files(lab.context).items()}
    there = facts[node.name].below(f"{REGISTRIES}/")
    wrong = {path for path, text in there.items() if is_ours(text) and wanted.get(path) != text}
    assert not wrong, f"{node.name} has what lab.yaml does not say: {', '.join(sorted(wrong))}"
    missing = ", ".join(sorted(wanted.keys() - there.keys()))
    assert not missing, f"{node.name} has no {missing}"
    assert not wanted or _reads_registries(tomllib.loads(facts[node.name].file(CONTAINERD_CONFIG))), (
        f"containerd on {node.name} does not read {REGISTRIES}: {CONTAINERD_CONFIG} has another config_path"
    )


def _reads_registries(config: dict[str, Any]) -> bool:
    """Return whether containerd's configuration, of version 2 or 3, names the folder of its registries."""
    paths = (
        plugin.get("registry", {}).get("config_path", "") for plugin in config.get("plugins", {}).values()
    )
    return any(REGISTRIES in path.split(":") for path in paths)


def _driver(config: dict[str, Any]) -> str:
    """Return the cgroup driver of containerd's default runtime, in the configuration of version 1 or 2."""
    for plugin in config.get("plugins", {}).values():
        containers = plugin.get("containerd", {})
        runtime = containers.get("runtimes", {}).get(containers.get("default_runtime_name", "runc"), {})
        if runtime.get("options", {}).get("SystemdCgroup"):
            return "systemd"
    return DEFAULT_DRIVER
