from __future__ import annotations

import json
from pathlib import Path

import pytest

from provision.cluster.kubectl import Kubectl
from provision.cni.base import Site
from provision.cni.custom import Custom
from provision.cni.none import NoCni
from provision.config.cni import CniConfig
from provision.errors import ConfigDrift, ConfigError, StepFailed
from provision.providers.base import RUNNING, STOPPED
from provision.steps.cni import CniCheckStep, CniStep
from tests.fakes import cni
from tests.fakes.lab import Lab, changed, make_lab

LOOK = "get configmaps,daemonsets,deployments --all-namespaces *"
CALICO = {"kind": "DaemonSet", "metadata": {"namespace": "kube-system", "name": "calico-node"}}
KUBEADM = {"kind": "ConfigMap", "metadata": {"namespace": "kube-system", "name": "kubeadm-config"}}


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A lab of the bridge, whose cluster has Calico."""
    made = make_lab(tmp_path, workers={"count": 1})
    made.kubectl.answer(LOOK, json.dumps({"items": [CALICO, KUBEADM]}))
    return made


def start(lab: Lab, state: str = RUNNING) -> None:
    lab.ctx.workspace.kubeconfig.write_text("{}")
    for node in lab.ctx.inventory.nodes:
        lab.machines.make(node.name, state)


def test_a_new_lab_asks_nobody(lab: Lab) -> None:
    assert lab.run(CniCheckStep()) == []
    assert lab.kubectl.calls == []


def test_another_cni_in_a_living_cluster_is_refused_before_anything_is_changed(lab: Lab) -> None:
    start(lab)
    with pytest.raises((ConfigDrift, StepFailed)) as caught:
        lab.run(CniCheckStep())
    assert caught.value.exit_code == 2
    assert "the cluster has calico, lab.yaml asks for bridge" in caught.value.message


@pytest.mark.parametrize("state", [STOPPED, RUNNING])
def test_a_cluster_that_cannot_answer_is_not_waited_for(lab: Lab, state: str) -> None:
    start(lab, state)
    lab.kubectl.answer(LOOK, stderr="connection refused", code=1)
    assert lab.run(CniCheckStep()) == []
    assert bool(lab.kubectl.calls) is (state == RUNNING)


def test_an_image_that_is_not_in_the_bundle_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(cni.OWN)
    custom = Custom(CniConfig(name="own", manifest=str(file)))
    lab = make_lab(tmp_path, changes={"cni": custom})
    with pytest.raises((ConfigError, StepFailed)) as caught:
        lab.run(CniCheckStep())
    assert caught.value.exit_code == 2
    assert "docker.io/library/busybox:1.37" in caught.value.message


def test_without_a_bundle_there_is_something_to_do(lab: Lab) -> None:
    fresh = changed(lab.ctx, find_bundle=lambda: None)
    assert not CniCheckStep().is_done(fresh)
    CniCheckStep().apply(lab.ctx)


class Network(NoCni):
    """A CNI that has to be put into the cluster."""

    name = "network"
    installed = False

    def is_installed(self, kubectl: Kubectl, site: Site) -> bool:
        return self.installed

    def install(self, kubectl: Kubectl, site: Site) -> None:
        assert not self.installed
        self.installed = True


def test_the_cni_is_installed_once(tmp_path: Path) -> None:
    lab = make_lab(tmp_path, changes={"cni": Network()})
    lab.ctx.workspace.kubeconfig.write_text("{}")
    lab.kubectl.answer("get --raw *", "ok")
    assert lab.run(CniStep()) == ["cni"]
    assert lab.run(CniStep()) == []


def test_an_api_server_that_does_not_answer_has_no_cni_yet(tmp_path: Path) -> None:
    class Asking(Network):
        def is_installed(self, kubectl: Kubectl, site: Site) -> bool:
            kubectl("get", "nodes")
            return super().is_installed(kubectl, site)

    lab = make_lab(tmp_path, changes={"cni": Asking()})
    lab.ctx.workspace.kubeconfig.write_text("{}")
    lab.kubectl.answer("get nodes*", code=1)
    assert not CniStep().is_done(lab.ctx)


def test_nothing_is_asked_of_a_cluster_the_host_cannot_reach(lab: Lab) -> None:
    assert not CniStep().is_done(lab.ctx)
    assert lab.kubectl.calls == []
