"""Every key of lab.yaml has an answer on a lab that is there, and gets it."""

from __future__ import annotations

import dataclasses
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from provision.box.recipe import BoxRecipe
from provision.cluster import kubeadm_config
from provision.cni.installed import Installed, Record
from provision.config.inventory import inventory_of
from provision.errors import ConfigDrift
from provision.lab.answers import ANSWERS
from provision.lab.decision import Decision
from provision.lab.differences import Comparison, compare, tell
from provision.lab.identity import another_lab
from provision.lab.reality import Cluster, Reality
from provision.lab.refusals import refuse_drift
from provision.lab.settings import Settings
from provision.providers.base import Made, Size
from provision.report.base import RecordingReporter
from provision.workspace import Workspace
from tests.fakes.checks.objects import node_object
from tests.fakes.config import every_key, make_config

BUNDLE = "a" * 64
DECISION = Decision(
    kubernetes="1.36.3",
    artifacts="source",
    bundle=BUNDLE,
    cni="calico",
    pods="10.244.0.0/16",
    services="10.96.0.0/12",
)
RECORD = Record("calico", "v3.33.1", "", {"encapsulation": "vxlan"})
SETTINGS = Settings(
    kubeadm={
        "apiServer": {
            "certSANs": ["127.0.0.1", "192.168.60.11"],
            "extraArgs": [{"name": "etcd-healthcheck-timeout", "value": "20s"}],
        },
        "controllerManager": {"extraArgs": [{"name": "leader-elect-lease-duration", "value": "120s"}]},
        "networking": {"dnsDomain": "cluster.local"},
    },
    kubelet={"kind": "KubeletConfiguration", "nodeLeaseDurationSeconds": 8, "syncFrequency": "0s"},
    kube_proxy={"mode": "nftables", "clusterCIDR": "10.244.0.0/16", "enableProfiling": False},
    patches="",
)
CLUSTER = Cluster(
    kubeadm_config.Made("1.36.3", "10.244.0.0/16", "10.96.0.0/12"),
    Installed(RECORD, frozenset(), made=True, bridge=False),
    frozenset({"containerd"}),
    {node.name: node_object(node) for node in inventory_of(make_config()).nodes},
    SETTINGS,
)
BOX = BoxRecipe("1.36.3", BUNDLE).name
WORKER = Size(2, 2048, 12, box=BOX)
MACHINES = {"lab-cp1": Size(2, 3072, 12, box=BOX), "lab-w1": WORKER, "lab-w2": WORKER}
LAB = Reality(Made(MACHINES, IPv4Network("192.168.60.0/24"), 1500), DECISION, CLUSTER)
OFF = dataclasses.replace(LAB, cluster=None, silent="machine lab-cp1 is stopped")
CALICO = {"name": "calico", "version": "v3.33.1", "values": {"encapsulation": "vxlan"}}

# Key -> what lab.yaml says after the edit.
EDITS: dict[str, dict[str, Any]] = {
    "kubernetes": {"kubernetes": "1.35"},
    "packages": {"packages": ["vim", "tcpdump"]},
    "cni.name": {"cni": "flannel"},
    "cni.version": {"cni": {**CALICO, "version": "v3.32.0"}},
    "cni.values": {"cni": {**CALICO, "values": {"encapsulation": "ipip"}}},
    "controlPlanes.cpus": {"controlPlanes": {"cpus": 3}},
    "controlPlanes.memory": {"controlPlanes": {"memory": "4GiB"}},
    "controlPlanes.disk": {"controlPlanes": {"disk": "20GiB"}},
    "controlPlanes.disks": {"controlPlanes": {"disks": ["10GiB"]}},
    "workers.cpus": {"workers": {"cpus": 1}},
    "workers.memory": {"workers": {"memory": "1700MiB"}},
    "workers.disk": {"workers": {"disk": "20GiB"}},
    "workers.disks": {"workers": {"disks": ["10GiB"]}},
    "workers.labels": {"workers": {"labels": {"disk": "ssd"}}},
    "workers.taints": {"workers": {"taints": ["gpu:NoSchedule"]}},
    "controlPlanes.labels": {"controlPlanes": {"labels": {"disk": "ssd"}}},
    "controlPlanes.taints": {"controlPlanes": {"taints": []}},
    "nodes.NODE.name": {"nodes": {"lab-w1": {"name": "w1-k8s"}}},
    "nodes.NODE.cpus": {"nodes": {"lab-w1": {"cpus": 1}}},
    "nodes.NODE.memory": {"nodes": {"lab-w1": {"memory": "4G"}}},
    "nodes.NODE.disk": {"nodes": {"lab-w1": {"disk": "20G"}}},
    "nodes.NODE.disks": {"nodes": {"lab-w1": {"disks": ["10G"]}}},
    "nodes.NODE.labels": {"nodes": {"lab-w1": {"labels": {"disk": "ssd"}}}},
    "nodes.NODE.taints": {"nodes": {"lab-w1": {"taints": ["gpu:NoSchedule"]}}},
    "nodes.NODE.address": {"nodes": {"lab-w1": {"address": "192.168.60.101"}}},
    "network.nodes": {"network": {"nodes": "192.168.61.0/24"}},
    "network.pods": {"network": {"pods": "10.245.0.0/16"}},
    "network.services": {"network": {"services": "10.112.0.0/12"}},
    "network.mtu": {"network": {"mtu": 1400}},
    "network.bridge": {"network": {"bridge": "br0"}},
    "artifacts": {"artifacts": "release"},
    "addons": {"addons": ["storage"]},
    "kubeadm.apiServerExtraArgs": {"kubeadm": {"apiServerExtraArgs": {"v": "2"}}},
    "kubeadm.controllerManagerExtraArgs": {"kubeadm": {"controllerManagerExtraArgs": {"v": "2"}}},
    "kubeadm.schedulerExtraArgs": {"kubeadm": {"schedulerExtraArgs": {"v": "2"}}},
    "kubeadm.etcdExtraArgs": {"kubeadm": {"etcdExtraArgs": {"snapshot-count": "5000"}}},
    "kubeadm.apiServerCertSANs": {"kubeadm": {"apiServerCertSANs": ["api.lab.example"]}},
    "kubeadm.featureGates": {"kubeadm": {"featureGates": {"One": True}}},
    "kubeadm.clusterDomain": {"kubeadm": {"clusterDomain": "lab.example"}},
    "kubelet": {"kubelet": {"maxPods": 90}},
    "kubeProxy": {"kubeProxy": {"mode": "iptables"}},
}
# Not in lab.yaml's hands alone, or no part of the lab. What can differ has a test of its own.
ELSEWHERE = {
    "runtime",
    "cni.sha256",
    "name",
    "provider",
    "controlPlanes.count",
    "workers.count",
    "cni.manifest",
    "cni.images",
    "kubeadm.patches",
    "proxy.http",
    "proxy.https",
    "proxy.noProxy",
    "controlPlanes.provision",
    "workers.provision",
    "nodes.NODE.provision",
    "registryMirrors",
    "insecureRegistries",
    "dns",
    "timeZone",
    "ports",
}
GROUPS = {"cni", "controlPlanes", "workers", "nodes", "network", "proxy", "kubeadm"}


def compared(reality: Reality = LAB, **keys: Any) -> Comparison:
    config = make_config(**{"cni": CALICO, **keys})
    return compare(config, inventory_of(config), reality)


def told(found: Comparison) -> list[tuple[str, str, str, bool]]:
    return [(each.key, each.lab, each.file, each.refused) for each in found.differences]


def test_every_key_has_an_answer() -> None:
    assert sorted(ANSWERS) == sorted(every_key())
    assert set(ANSWERS) == EDITS.keys() | ELSEWHERE | GROUPS


def test_a_lab_that_is_as_lab_yaml_says_has_no_difference() -> None:
    assert compared() == Comparison()
    # With `auto` and a minor, too: they were decided.
    cluster = dataclasses.replace(
        CLUSTER, cni=dataclasses.replace(CLUSTER.cni, record=dataclasses.replace(RECORD, values={}))
    )
    lab = dataclasses.replace(LAB, cluster=cluster)
    assert compared(lab, cni="auto", kubernetes="1.36", artifacts="auto") == Comparison()


@pytest.mark.parametrize("key", EDITS)
def test_every_edit_gets_its_answer(key: str) -> None:
    (difference,) = compared(**EDITS[key]).differences
    assert difference.key == ("cni" if key == "cni.name" else key.replace("NODE", "lab-w1"))
    assert difference.refused == (ANSWERS[key] == "refused")
    assert difference.anew == (ANSWERS[key] == "anew")
    assert difference.lab != difference.file


@pytest.mark.parametrize("own", [{"disk": "20GiB"}, {"disks": ["10GiB"]}], ids=["disk", "disks"])
def test_a_control_plane_is_not_made_anew(own: dict[str, Any]) -> None:
    (difference,) = compared(nodes={"lab-cp1": own}).differences
    assert (difference.refused, difference.anew) == (True, False)


def test_values_are_told_as_lab_yaml_has_them() -> None:
    found = compared(workers={"memory": "1700MiB", "disk": "20GiB"}, network={"pods": "10.245.0.0/16"})
    assert told(found) == [
        ("workers.memory", "2GiB", "1700MiB", False),
        ("workers.disk", "12GiB", "20GiB", False),
        ("network.pods", "10.244.0.0/16", "10.245.0.0/16", True),
    ]
    assert found.differences[0].text == "the lab has 2GiB (lab-w1, lab-w2), lab.yaml says 1700MiB"


def test_machines_of_one_kind_may_differ() -> None:
    sizes = {**MACHINES, "lab-w2": Size(2, 4096, None, box=BOX)}
    found = compared(dataclasses.replace(LAB, made=dataclasses.replace(LAB.made, machines=sizes)))
    assert [(each.text, each.machines) for each in found.differences] == [
        ("the lab has 4GiB (lab-w2), lab.yaml says 2GiB", ("lab-w2",))
    ]
    assert list(found.unknown) == ["workers.disk"]
    assert "lab-w2" in found.unknown["workers.disk"]


def test_what_a_node_has_of_its_own_is_no_difference_of_the_others() -> None:
    sizes = {**MACHINES, "lab-w1": Size(2, 4096, 12, box=BOX)}
    lab = dataclasses.replace(LAB, made=dataclasses.replace(LAB.made, machines=sizes))
    assert compared(lab, nodes={"lab-w1": {"memory": "4G"}}).differences == []
    (found,) = compared(lab, nodes={"lab-w1": {"memory": "3G"}}).differences
    assert (found.key, found.lab, found.file) == ("nodes.lab-w1.memory", "4GiB", "3GiB")


def test_a_machine_has_the_further_disks_that_it_was_made_with() -> None:
    sizes = {
        **MACHINES,
        "lab-w1": Size(2, 2048, 12, (10, 5), box=BOX),
        "lab-w2": Size(2, 2048, 12, None, box=BOX),
    }
    lab = dataclasses.replace(LAB, made=dataclasses.replace(LAB.made, machines=sizes))
    found = compared(lab, workers={"count": 3, "disks": ["10GiB"]})
    assert told(found) == [
        ("workers.count", "2", "3", False),
        ("workers.disks", "[10GiB, 5GiB]", "[10GiB]", False),
    ]
    assert "lab-w2" in found.unknown["workers.disks"]


def test_an_address_is_what_the_network_gives_else_what_the_cluster_says() -> None:
    own = {"nodes": {"lab-w1": {"address": "192.168.60.101"}, "lab-w2": {"address": "192.168.60.102"}}}
    made = dataclasses.replace(LAB.made, addresses={"lab-w1": "192.168.60.101"})
    found = compared(dataclasses.replace(LAB, made=made), **own)
    assert told(found) == [("nodes.lab-w2.address", "192.168.60.22", "192.168.60.102", True)]
    assert told(compared(dataclasses.replace(LAB, made=made))) == [
        ("nodes.lab-w1.address", "192.168.60.101", "192.168.60.21", True)
    ]


def test_an_address_is_compared_also_where_the_network_is_gone() -> None:
    lab = dataclasses.replace(LAB, made=Made(MACHINES))
    own = {"lab-w1": {"address": "192.168.60.101"}}
    assert [each.key for each in compared(lab, nodes=own).differences] == ["nodes.lab-w1.address"]
    # In another range all addresses differ, and one difference says it.
    found = compared(network={"nodes": "192.168.61.0/24"}, nodes={"lab-w1": {"address": "192.168.61.9"}})
    assert [each.key for each in found.differences] == ["network.nodes"]


def test_a_name_is_that_which_the_machine_was_made_with_else_that_of_the_node_at_its_address() -> None:
    own = {"lab-w1": {"name": "w1-k8s"}}
    made = dataclasses.replace(LAB.made, hostnames={"lab-w1": "w1-k8s", "lab-w2": "lab-w2"})
    named = {node.name: node_object(node) for node in inventory_of(make_config(nodes=own)).nodes}
    for cluster in (dataclasses.replace(CLUSTER, nodes=named), None):
        lab = dataclasses.replace(LAB, made=made, cluster=cluster, silent="" if cluster else "it is off")
        assert compared(lab, nodes=own).differences == []
        for nodes, file in (({}, "lab-w1"), ({"lab-w1": {"name": "other"}}, "other")):
            assert told(compared(lab, nodes=nodes)) == [("nodes.lab-w1.name", "w1-k8s", file, True)]
    silent = dataclasses.replace(LAB, cluster=dataclasses.replace(CLUSTER, nodes=named))
    assert told(compared(silent)) == [("nodes.lab-w1.name", "w1-k8s", "lab-w1", True)]


def test_an_own_name_that_nobody_can_tell_of_is_not_compared() -> None:
    found = compared(OFF, nodes={"lab-w1": {"name": "w1-k8s"}})
    assert found.differences == []
    assert "nodes.lab-w1.name" in found.unknown
    assert "nodes.lab-w2.name" not in found.unknown


def test_a_worker_that_is_not_there_yet_may_have_any_name() -> None:
    left = {name: size for name, size in MACHINES.items() if name != "lab-w2"}
    lab = dataclasses.replace(LAB, made=dataclasses.replace(LAB.made, machines=left))
    found = compared(lab, nodes={"lab-w2": {"name": "w2-k8s"}})
    assert [each.key for each in found.differences] == ["workers.count"]


def test_what_a_node_with_a_name_of_its_own_has_is_compared_by_its_machine() -> None:
    own = {"name": "w1-k8s", "memory": "3GiB", "address": "192.168.60.101"}
    made = dataclasses.replace(
        LAB.made, hostnames={"lab-w1": "w1-k8s"}, addresses={"lab-w1": "192.168.60.21"}
    )
    found = compared(dataclasses.replace(LAB, made=made), nodes={"lab-w1": own})
    assert [(each.key, each.lab, each.machines) for each in found.differences] == [
        ("nodes.lab-w1.memory", "2GiB", ("w1-k8s",)),
        ("nodes.lab-w1.address", "192.168.60.21", ()),
    ]


def test_workers_that_leave_are_told_by_the_names_of_their_nodes() -> None:
    made = dataclasses.replace(LAB.made, hostnames={"lab-w2": "w2-k8s"})
    (fewer,) = compared(dataclasses.replace(LAB, made=made), workers={"count": 1}).differences
    assert fewer.text == "the lab has 2 (w2-k8s), lab.yaml says 1"


def test_a_worker_that_is_not_there_yet_may_have_any_address() -> None:
    left = {name: size for name, size in MACHINES.items() if name != "lab-w2"}
    lab = dataclasses.replace(LAB, made=dataclasses.replace(LAB.made, machines=left))
    found = compared(lab, nodes={"lab-w2": {"address": "192.168.60.102"}})
    assert [each.key for each in found.differences] == ["workers.count"]


def test_more_workers_are_made_and_fewer_are_removed() -> None:
    (more,) = compared(workers={"count": 3}).differences
    assert (more.key, more.refused, more.machines) == ("workers.count", False, ())
    (fewer,) = compared(workers={"count": 1}).differences
    assert (fewer.refused, fewer.machines) == (False, ("lab-w2",))
    assert fewer.text == "the lab has 2 (lab-w2), lab.yaml says 1"


def test_no_control_plane_is_removed() -> None:
    made = dataclasses.replace(LAB.made, machines={**MACHINES, "lab-cp2": Size(2, 3072, 12, box=BOX)})
    (fewer,) = compared(dataclasses.replace(LAB, made=made)).differences
    assert (fewer.key, fewer.refused, fewer.machines) == ("controlPlanes.count", True, ("lab-cp2",))


def test_a_machine_that_is_gone_is_made_again() -> None:
    left = {name: size for name, size in MACHINES.items() if name != "lab-cp1"}
    found = compared(dataclasses.replace(LAB, made=dataclasses.replace(LAB.made, machines=left)))
    assert told(found) == [("controlPlanes.count", "0", "1", False)]


def with_boxes(*packages: tuple[str, ...] | None, kept: tuple[str, ...] = ()) -> Reality:
    """Return the lab with a machine of a box with each of `packages`, None for what does not say it."""
    names = [BoxRecipe("1.36.3", "b" * 64, each).name if each is not None else None for each in packages]
    sizes = [dataclasses.replace(size, box=box) for size, box in zip(MACHINES.values(), names, strict=True)]
    machines = dict(zip(MACHINES, sizes, strict=True))
    decision = DECISION.model_copy(update={"packages": kept})
    return dataclasses.replace(LAB, made=dataclasses.replace(LAB.made, machines=machines), decision=decision)


def test_packages_are_those_of_the_boxes_in_the_words_that_were_kept() -> None:
    tree = ("tree",)
    lab = with_boxes(tree, tree, tree, kept=tree)
    assert compared(lab, packages=["tree"]).differences == []
    assert told(compared(lab)) == [("packages", "tree", "none", True)]
    assert told(compared(lab, packages=["vim", "tree"])) == [("packages", "tree", "vim, tree", True)]
    # Written down for another box, or never.
    lab = with_boxes(tree, tree, tree, kept=("vim",))
    assert told(compared(lab)) == [("packages", "others", "none", True)]
    assert (
        compared(with_boxes(("vim", "tree"), *[("tree", "vim")] * 2), packages=["tree", "vim"])
        == Comparison()
    )


def test_machines_may_have_other_packages_one_by_one() -> None:
    found = compared(with_boxes(("tree",), (), None), packages=["tree"])
    assert [(each.lab, each.machines) for each in found.differences] == [("none", ("lab-w1",))]
    assert found.unknown == {"packages": "the hypervisor does not say it of lab-w2"}


def test_a_lab_that_is_not_there_lacks_its_machines_and_nothing_is_told_of_it() -> None:
    found = compared(Reality(Made({})), network={"pods": "10.245.0.0/16"})
    assert [each.key for each in found.differences] == ["controlPlanes.count", "workers.count"]
    report = RecordingReporter()
    tell(found, report)
    refuse_drift(found.differences)
    assert report.events == []


def test_another_runtime_on_a_node_is_refused() -> None:
    cluster = dataclasses.replace(CLUSTER, runtimes=frozenset({"containerd", "cri-o"}))
    found = compared(dataclasses.replace(LAB, cluster=cluster))
    assert told(found) == [("runtime", "cri-o", "containerd", True)]


def test_a_cluster_that_was_upgraded_by_hand_may_be_what_lab_yaml_says() -> None:
    made = dataclasses.replace(CLUSTER.made, kubernetes="1.37.1")
    upgraded = dataclasses.replace(LAB, cluster=dataclasses.replace(CLUSTER, made=made))
    assert told(compared(upgraded, kubernetes="1.36")) == [("kubernetes", "1.37.1", "1.36", True)]
    assert told(compared(upgraded, kubernetes="1.37")) == []
    # 1.3 is no prefix of 1.37 that counts.
    assert compared(kubernetes="1.36.3").differences == []
    # What a word came to is kept, also when a newer version appears.
    assert compared(upgraded, kubernetes="stable").differences == []
    assert compared(kubernetes="latest").differences == []


@pytest.mark.parametrize("key", ["kubernetes", "cni.name", "network.pods", "network.services"])
def test_a_cluster_that_is_off_is_compared_with_what_was_kept(key: str) -> None:
    (difference,) = compared(OFF, **EDITS[key]).differences
    assert (difference.key, difference.refused) == ("cni" if key == "cni.name" else key, True)


def test_what_was_and_was_not_compared_is_told_once() -> None:
    older = dataclasses.replace(OFF, decision=DECISION.model_copy(update={"pods": "", "services": ""}))
    found = compared(older, network={"pods": "10.245.0.0/16"}, workers={"count": 3})
    assert (found.kept, list(found.unknown)) == (
        ["kubernetes", "cni"],
        ["runtime", "network.pods", "network.services", "addons", "kubeadm", "kubelet", "kubeProxy"],
    )
    report = RecordingReporter()
    tell(found, report)
    assert [event["text"] for event in report.of("info")] == [
        "workers.count: the lab has 2, lab.yaml says 3",
        "the cluster was not asked (machine lab-cp1 is stopped):"
        " kubernetes, cni compared with what `up` kept",
        "not compared with the lab: runtime, network.pods, network.services, addons, kubeadm, kubelet,"
        " kubeProxy"
        " (the cluster was not asked: machine lab-cp1 is stopped)",
    ]


def test_without_a_decision_only_the_machines_are_compared() -> None:
    found = compared(dataclasses.replace(OFF, decision=None), kubernetes="1.35", workers={"cpus": 3})
    assert [each.key for each in found.differences] == ["workers.cpus"]
    assert set(found.unknown) >= {"kubernetes", "cni", "network.pods"}


def test_before_there_is_a_cluster_another_pod_network_may_be_chosen() -> None:
    early = dataclasses.replace(OFF, silent="it is not made yet", has_cluster=False)
    assert compared(early, cni="bridge").differences == []
    assert [each.key for each in compared(early, kubernetes="1.35").differences] == ["kubernetes"]


def test_who_asked_for_no_pod_network_may_have_brought_one() -> None:
    bare = dataclasses.replace(OFF, decision=DECISION.model_copy(update={"cni": "none"}))
    assert compared(bare, cni="calico").differences == []
    own = dataclasses.replace(OFF, decision=DECISION.model_copy(update={"cni": "my-own"}))
    assert told(compared(own, cni="auto")) == [("cni", "my-own", "auto", True)]


def test_another_manifest_of_ones_own_is_applied() -> None:
    record = Record("own", "", "digest of the old one")
    own = dataclasses.replace(CLUSTER, cni=Installed(record, frozenset(), made=True, bridge=False))
    found = compared(
        dataclasses.replace(LAB, cluster=own), cni={"name": "own", "manifest": "http://a.test/own.yaml"}
    )
    assert told(found) == [("cni.manifest", "another one", "http://a.test/own.yaml", False)]


def test_all_that_is_refused_is_named_in_one_error() -> None:
    found = compared(kubernetes="1.35", controlPlanes={"disk": "20GiB"}, network={"mtu": 1400})
    with pytest.raises(ConfigDrift) as caught:
        refuse_drift(found.differences)
    assert (caught.value.exit_code, caught.value.key) == (2, "kubernetes")
    assert str(caught.value).splitlines() == [
        "kubernetes: the lab has 1.36.3, lab.yaml says 1.35",
        "controlPlanes.disk: the lab has 12GiB (lab-cp1), lab.yaml says 20GiB",
        "network.mtu: the lab has 1500, lab.yaml says 1400",
    ]
    assert "kubelab destroy, then kubelab up" in caught.value.hint


# Which lab it is


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a lab with a machine."""
    file = Workspace(tmp_path, "lab").machine_id_file("lab-cp1", "libvirt")
    file.parent.mkdir(parents=True)
    file.write_text("id")
    return tmp_path


def elsewhere(folder: Path, **keys: Any) -> list[tuple[str, str, str]]:
    config = make_config(**keys)
    return [
        (each.key, each.lab, each.file)
        for each in another_lab(config, Workspace(folder, config.name))
        if each.refused
    ]


def test_another_provider_is_refused(folder: Path) -> None:
    assert elsewhere(folder) == []
    assert elsewhere(folder, provider="virtualbox") == [("provider", "libvirt", "virtualbox")]


def test_a_lab_that_was_renamed_in_its_file_is_refused(folder: Path) -> None:
    (folder / "lab.yaml").write_text("name: new")
    (folder / "Vagrantfile").write_text("{ name: 'lab-cp1' }")
    assert elsewhere(folder, name="new") == [("name", "lab", "new")]


@pytest.mark.parametrize("text", ["name: lab\n", "{cni: none, 'name': \"lab\"}", "# lab\nname:  'lab'"])
def test_a_second_lab_with_its_own_file_is_none_that_was_renamed(folder: Path, text: str) -> None:
    (folder / "green.yaml").write_text("name: green")
    (folder / "blue").write_text(text)
    assert elsewhere(folder, name="green") == []


def test_a_second_card_is_compared_machine_by_machine() -> None:
    sizes = {**MACHINES, "lab-w1": dataclasses.replace(MACHINES["lab-w1"], bridge="br0")}
    lab = dataclasses.replace(LAB, made=dataclasses.replace(LAB.made, machines=sizes))
    (found,) = compared(lab).differences
    assert found.text == "the lab has br0 (lab-w1), lab.yaml says none"
    (found,) = compared(lab, network={"bridge": "br0"}).differences
    assert (found.lab, found.file, found.machines) == ("none", "br0", ("lab-cp1", "lab-w2"))


def test_an_addon_that_is_in_use_is_not_taken_away() -> None:
    cluster = dataclasses.replace(CLUSTER, addons={"storage": ()})
    assert told(compared(dataclasses.replace(LAB, cluster=cluster))) == [("addons", "storage", "none", False)]
    used = dataclasses.replace(CLUSTER, addons={"storage": ("default/data", "default/more")})
    (found,) = compared(dataclasses.replace(LAB, cluster=used)).differences
    assert (found.refused, found.lab) == (True, "storage (used by default/data, default/more)")
    kept = compared(dataclasses.replace(LAB, cluster=used), addons=["storage"])
    assert kept.differences == []
