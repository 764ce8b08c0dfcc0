from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from provision.cluster.kubectl import Kubectl
from provision.cni.calico import Calico
from provision.cni.custom import Custom
from provision.cni.installed import NAME, Record, look, refuse_change
from provision.config.cni import CniConfig
from provision.errors import ConfigDrift
from tests.fakes import cni
from tests.fakes.cluster.kubectl import StubKubectl

LOOK = "get configmaps,daemonsets,deployments --all-namespaces *"

CALICO_NODE = ("DaemonSet", "kube-system", "calico-node")

CONTROLLERS = ("Deployment", "kube-system", "calico-kube-controllers")

BRIDGE = "controllerManager: {extraArgs: [{name: allocate-node-cidrs, value: 'false'}]}"


@pytest.fixture
def stub(tmp_path: Path) -> StubKubectl:
    return StubKubectl(tmp_path / "bundle")


def client(stub: StubKubectl) -> Kubectl:
    return Kubectl(stub.program, stub.folder / "kubeconfig")


def answer(
    stub: StubKubectl,
    *workloads: tuple[str, str, str],
    record: Record | str | None = None,
    cluster: str = "clusterName: lab",
) -> None:
    """Let the cluster have workloads (kind, namespace, name), a record and kubeadm's ClusterConfiguration."""
    items: list[dict[str, Any]] = [
        {"kind": kind, "metadata": {"namespace": namespace, "name": name}}
        for kind, namespace, name in workloads
    ]
    maps = {"kubeadm-config": {"ClusterConfiguration": cluster}} if cluster else {}
    if record is not None:
        text = record if isinstance(record, str) else json.dumps(record.__dict__)
        maps[NAME] = {"cni": text}
    items += [
        {"kind": "ConfigMap", "metadata": {"namespace": "kube-system", "name": name}, "data": data}
        for name, data in maps.items()
    ]
    stub.answer(LOOK, json.dumps({"items": items}))


def drift(stub: StubKubectl, settings: CniConfig) -> ConfigDrift:
    with pytest.raises(ConfigDrift) as caught:
        refuse_change(settings, look(client(stub)))
    assert caught.value.exit_code == 2
    assert "kubelab destroy" in caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    ("workloads", "installed"), [((CALICO_NODE, CONTROLLERS), True), ((CALICO_NODE,), False)]
)
def test_installed_means_written_down_and_still_there(
    stub: StubKubectl, workloads: tuple[tuple[str, str, str], ...], installed: bool
) -> None:
    names = tuple(f"{namespace}/{kind}/{name}" for kind, namespace, name in (CALICO_NODE, CONTROLLERS))
    answer(stub, *workloads, record=Record("calico", "v3.33.1", "", {}, names))
    assert Calico(CniConfig(name="calico")).is_installed(client(stub), cni.make_site()) is installed


def test_what_nobody_wrote_down_is_not_installed(stub: StubKubectl) -> None:
    calico = Calico(CniConfig(name="calico"))
    for record in (None, "{", '{"unknown": 1}', '{"workloads": 3}'):
        answer(stub, CALICO_NODE, record=record)
        assert not calico.is_installed(client(stub), cni.make_site())


def test_a_changed_manifest_of_ones_own_is_applied_again(tmp_path: Path, stub: StubKubectl) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(cni.OWN)
    own = Custom(CniConfig(name="own", manifest=str(file)))
    answer(stub, ("DaemonSet", "kube-system", "own"), record=Record("own", "", own.digest()))
    assert own.is_installed(client(stub), cni.make_site())
    file.write_text(cni.OWN + "# changed\n")
    assert not own.is_installed(client(stub), cni.make_site())
    stub.answer("apply *")
    own.install(client(stub), cni.make_site())
    applied = [call for call in stub.calls if call.startswith("apply --server-side")]
    # The objects, refused where the user mistyped a field, and what is written down of them.
    assert ["--validate=strict" in call for call in applied] == [True, False]


@pytest.mark.parametrize(
    ("found", "wanted", "there"),
    [
        ({"record": Record("calico", "v3.33.1", "")}, "flannel", "calico"),
        ({"record": Record("calico", "v3.33.1", "")}, "bridge", "calico"),
        ({"record": Record("own", "", "")}, "none", "own"),
        ({"cluster": BRIDGE}, "calico", "bridge"),
        ({"cluster": BRIDGE}, "none", "bridge"),
        ({"workloads": [CALICO_NODE]}, "flannel", "calico"),
        ({"workloads": [("DaemonSet", "calico-system", "calico-node")]}, "cilium", "calico"),
        ({"workloads": [("DaemonSet", "kube-flannel", "kube-flannel-ds")]}, "bridge", "flannel"),
        ({"workloads": [("DaemonSet", "kube-system", "cilium")]}, "calico", "cilium"),
        ({}, "bridge", "no CNI"),
    ],
)
def test_a_living_cluster_keeps_its_cni(
    stub: StubKubectl, found: dict[str, Any], wanted: str, there: str
) -> None:
    answer(stub, *found.pop("workloads", ()), **found)
    error = drift(stub, CniConfig(name=wanted))
    assert error.key == "cni"
    assert f"the cluster has {there}, lab.yaml asks for {wanted}" in str(error)


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        ({"cluster": BRIDGE}, "bridge"),
        ({"cluster": ""}, "bridge"),
        ({}, "none"),
        ({}, "calico"),
        ({"workloads": [CALICO_NODE]}, "none"),
        ({"workloads": [CALICO_NODE]}, "calico"),
    ],
)
def test_what_may_be_there_is_left_alone(stub: StubKubectl, found: dict[str, Any], wanted: str) -> None:
    answer(stub, *found.pop("workloads", ()), **found)
    refuse_change(CniConfig(name=wanted), look(client(stub)))


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        (CniConfig(name="calico", version="3.32.4"), "cni.version"),
        (CniConfig(name="calico", values={"encapsulation": "ipip"}), "cni.values"),
    ],
)
def test_a_living_cluster_keeps_the_form_of_its_cni(stub: StubKubectl, settings: CniConfig, key: str) -> None:
    answer(stub, CALICO_NODE, record=Record("calico", "v3.33.1", ""))
    assert drift(stub, settings).key == key


def test_the_version_of_a_living_cluster_needs_no_v(stub: StubKubectl) -> None:
    answer(
        stub, CALICO_NODE, record=Record("calico", "v3.33.1", "", {}, ("kube-system/DaemonSet/calico-node",))
    )
    assert Calico(CniConfig(name="calico", version="3.33.1")).is_installed(client(stub), cni.make_site())
