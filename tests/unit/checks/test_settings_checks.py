"""The checks of what Kubernetes' own programs run with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.checks.world import World, make_world

ARGUMENTS = "the_control_plane_runs_with_the_arguments_asked_for"
KUBELET = "the_kubelet_runs_with_the_configuration_asked_for"
PROXY = "kube_proxy_runs_in_the_mode_asked_for"


def said(world: World, test: str) -> dict[str, str]:
    """Return node or "" -> the message of a test that alone is red."""
    red = world.red()
    assert set(red) == {test}
    return {node: text.partition("\nassert")[0] for node, text in red[test].items()}


def configz(world: World, **kubelet: Any) -> None:
    found = {"clusterDomain": "cluster.local", "maxPods": 110, **kubelet}
    world.api.answer("get --raw /api/v1/nodes/*", json.dumps({"kubeletconfig": found}))


def test_an_argument_that_is_missing_is_named(tmp_path: Path) -> None:
    asked = {"schedulerExtraArgs": {"v": "2"}, "featureGates": {"A": True}}
    world = make_world(tmp_path, kubeadm=asked)
    for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler"):
        (container,) = world.find("Pod", f"{name}-lab-cp1")["spec"]["containers"]
        container["command"] = [name, "--feature-gates=A=true", "--v=2"]
    configz(world, featureGates={"A": True, "B": False})
    assert world.red() == {}
    container["command"].remove("--v=2")
    assert said(world, ARGUMENTS) == {"": "kube-scheduler on lab-cp1 runs without --v=2"}


@pytest.mark.parametrize(
    ("asked", "has"),
    [
        ({"maxPods": 90}, {"maxPods": 90}),
        ({"logging": {"verbosity": 2}}, {"logging": {"format": "text", "verbosity": 2}}),
        ({"syncFrequency": "60s", "protectKernelDefaults": False}, {"syncFrequency": "1m0s"}),
    ],
)
def test_a_kubelet_with_another_value_is_named(
    tmp_path: Path, asked: dict[str, Any], has: dict[str, Any]
) -> None:
    world = make_world(tmp_path, kubelet=asked)
    configz(world, **has)
    assert world.red() == {}
    configz(world)
    red = said(world, KUBELET)
    assert set(red) == {node.name for node in world.ctx.inventory.nodes}
    assert next(iter(asked)) in red["lab-w1"]


def test_kube_proxy_in_another_mode_or_without_an_answer_is_named(tmp_path: Path) -> None:
    world = make_world(tmp_path, kubeProxy={"mode": "nftables"})
    assert world.red() == {}
    for answer, words in (("echo iptables", "says iptables"), ("true", "says nothing")):
        world.worker.program("bash", f'case "$*" in *proxyMode*) {answer};; *) echo HTTP/1.0 200 OK;; esac')
        red = said(world, PROXY)
        assert set(red) == {"lab-w1"}
        assert words in red["lab-w1"]
