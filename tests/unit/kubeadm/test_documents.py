from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from provision.config.inventory import Inventory, Node, inventory_of
from provision.config.schema import ClusterConfig, parse_config
from provision.errors import LabError
from provision.host.facts import Acceleration
from provision.kubeadm import documents as kubeadm
from provision.kubeadm import patches, tuning
from tests.fakes.kubeadm import certificate

KVM, TCG = Acceleration("kvm", 1.0), Acceleration("tcg", 10.0)
IMAGES = [
    "registry.k8s.io/pause:3.10.2",
    "registry.k8s.io/etcd:3.6.8-0",
    "registry.k8s.io/coredns/coredns:v1.14.1",
]
TOKEN = "abcdef.0123456789abcdef"
PIN = f"sha256:{'0' * 64}"


def lab(**keys: Any) -> tuple[ClusterConfig, Inventory]:
    config = parse_config(yaml.safe_dump({"name": "lab", "cni": "bridge", **keys}))
    return config, inventory_of(config)


def init(speed: Acceleration = KVM, images: list[str] = IMAGES, **keys: Any) -> dict[str, Any]:
    """Return kind -> document of what `kubeadm init` reads."""
    text = kubeadm.init_documents(*lab(**keys), "1.36.3", images, speed, TOKEN)
    return {document["kind"]: document for document in yaml.safe_load_all(text)}


def join(speed: Acceleration = KVM, worker: int = 0, **keys: Any) -> dict[str, Any]:
    config, inventory = lab(**keys)
    document: dict[str, Any] = yaml.safe_load(
        kubeadm.join_document(config, inventory.workers[worker], inventory.first, TOKEN, PIN, speed)
    )
    return document


def arguments(holder: dict[str, Any], key: str = "extraArgs") -> dict[str, str]:
    """Return the arguments as a dict, having checked that none is given twice."""
    names = [entry["name"] for entry in holder[key]]
    assert len(names) == len(set(names))
    assert all(type(entry["value"]) is str for entry in holder[key])
    return {entry["name"]: entry["value"] for entry in holder[key]}


def every(document: Any, key: str) -> Iterator[Any]:
    """Yield every value that stands under `key`, however deep."""
    if isinstance(document, dict):
        for name, value in document.items():
            if name == key:
                yield value
            yield from every(value, key)
    elif isinstance(document, list):
        for item in document:
            yield from every(item, key)


def test_tokens_have_the_form_that_kubeadm_accepts_and_never_repeat() -> None:
    tokens = {kubeadm.new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(re.fullmatch(r"[a-z0-9]{6}\.[a-z0-9]{16}", token) for token in tokens)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_the_pin_is_what_openssl_makes_of_the_certificate() -> None:
    pem = certificate()
    script = "openssl x509 -pubkey -noout | openssl pkey -pubin -outform der | sha256sum"
    made = subprocess.run(["sh", "-c", script], input=pem, capture_output=True, check=True)
    assert kubeadm.ca_hash(pem) == f"sha256:{made.stdout.decode().split()[0]}"


def test_the_pin_follows_the_key() -> None:
    assert kubeadm.ca_hash(certificate()) != kubeadm.ca_hash(certificate())


def test_init_has_one_document_of_each_kind() -> None:
    assert set(init()) == {
        "InitConfiguration",
        "ClusterConfiguration",
        "KubeletConfiguration",
        "KubeProxyConfiguration",
    }


def test_the_cluster_has_the_labs_name_version_and_ranges() -> None:
    documents = init(network={"pods": "10.32.0.0/16", "services": "10.112.0.0/16"})
    cluster = documents["ClusterConfiguration"]
    assert (cluster["clusterName"], cluster["kubernetesVersion"]) == ("lab", "v1.36.3")
    assert cluster["networking"] == {"podSubnet": "10.32.0.0/16", "serviceSubnet": "10.112.0.0/16"}
    assert documents["KubeProxyConfiguration"]["clusterCIDR"] == "10.32.0.0/16"


def test_every_timeout_is_scaled_and_none_is_endless() -> None:
    plain, slow = init()["InitConfiguration"]["timeouts"], init(TCG)["InitConfiguration"]["timeouts"]
    assert set(plain) >= {
        "controlPlaneComponentHealthCheck",
        "kubernetesAPICall",
        "tlsBootstrap",
        "discovery",
    }
    seconds = {name: (int(plain[name][:-1]), int(slow[name][:-1])) for name in plain}
    assert all(fast < scaled <= 1800 for fast, scaled in seconds.values())
    assert all(scaled in (10 * fast, 1800) for fast, scaled in seconds.values())
    assert join(TCG)["timeouts"] == slow


def test_kubeadm_has_more_patience_where_machines_are_slower_than_usual() -> None:
    usual, slower = (
        yaml.safe_load(kubeadm.join_document(*joining(), TOKEN, PIN, KVM, slowness))["timeouts"]
        for slowness in (1.0, 2.5)
    )
    assert (usual["discovery"], slower["discovery"]) == ("300s", "750s")


def joining() -> tuple[ClusterConfig, Node, Node]:
    config, inventory = lab()
    return config, inventory.workers[0], inventory.first


def test_the_token_expires() -> None:
    (token,) = init()["InitConfiguration"]["bootstrapTokens"]
    assert token["token"] == TOKEN
    hours = re.fullmatch(r"(\d+)h0m0s", token["ttl"])
    assert hours is not None
    assert 0 < int(hours[1]) <= 24


def test_a_worker_trusts_only_the_pinned_certificate_authority() -> None:
    document = join()
    discovery = document["discovery"]["bootstrapToken"]
    assert discovery == {"token": TOKEN, "apiServerEndpoint": "192.168.60.11:6443", "caCertHashes": [PIN]}
    assert not list(every(document, "unsafeSkipCAVerification"))


def test_every_node_is_told_its_own_address_and_name() -> None:
    # The first network card of a VM may carry another address, and the same one on every VM.
    first = init()["InitConfiguration"]
    assert first["localAPIEndpoint"]["advertiseAddress"] == "192.168.60.11"
    nodes = {"lab-cp1": first, "lab-w1": join(worker=0), "lab-w2": join(worker=1)}
    found = {
        name: (
            document["nodeRegistration"]["name"],
            arguments(document["nodeRegistration"], "kubeletExtraArgs")["node-ip"],
        )
        for name, document in nodes.items()
    }
    assert found == {
        "lab-cp1": ("lab-cp1", "192.168.60.11"),
        "lab-w1": ("lab-w1", "192.168.60.21"),
        "lab-w2": ("lab-w2", "192.168.60.22"),
    }


@pytest.mark.parametrize("speed", [KVM, TCG])
@pytest.mark.parametrize("cni", ["bridge", "calico", "none"])
def test_no_component_gets_an_argument_twice(speed: Acceleration, cni: str) -> None:
    documents = init(speed, cni=cni)
    for holder in [documents["ClusterConfiguration"][part] for part in ("controllerManager", "scheduler")]:
        arguments(holder)
    for key in ("extraArgs", "extraEnvs", "kubeletExtraArgs"):
        for found in every(list(documents.values()), key):
            arguments({key: found}, key)


@pytest.mark.parametrize("speed", [KVM, TCG])
@pytest.mark.parametrize(("cni", "expected"), [("bridge", "false"), ("calico", None), ("none", None)])
def test_only_the_bridge_gives_out_pod_ranges_itself(
    speed: Acceleration, cni: str, expected: str | None
) -> None:
    manager = init(speed, cni=cni)["ClusterConfiguration"]["controllerManager"]
    assert arguments(manager).get("allocate-node-cidrs") == expected


def test_images_are_those_of_the_bundle() -> None:
    # kubeadm would otherwise ask for the patch it was made with, which offline is not there.
    cluster = init()["ClusterConfiguration"]
    assert cluster["dns"] == {"imageRepository": "registry.k8s.io/coredns", "imageTag": "v1.14.1"}
    etcd = cluster["etcd"]["local"]
    assert (etcd["imageRepository"], etcd["imageTag"]) == ("registry.k8s.io", "3.6.8-0")
    ported = ["localhost:5000/k8s/etcd:3.6.8-0", "localhost:5000/coredns:v1"]
    cluster = init(images=ported)["ClusterConfiguration"]
    assert cluster["etcd"]["local"]["imageRepository"] == "localhost:5000/k8s"
    assert cluster["dns"] == {"imageRepository": "localhost:5000", "imageTag": "v1"}


def test_a_bundle_without_an_image_is_refused_by_name() -> None:
    with pytest.raises(LabError, match="coredns"):
        init(images=IMAGES[:2])


def test_patches_are_there_only_under_emulation() -> None:
    assert tuning.patches(KVM) == {}
    files = tuning.patches(TCG)
    coredns = yaml.safe_load(files.pop("corednsdeployment+strategic.yaml"))
    (container,) = coredns["spec"]["template"]["spec"]["containers"]
    assert container["name"] == "coredns"
    # kubeadm's own: a busy host's CoreDNS was restarted for five answers that took longer.
    assert all(container[f"{probe}Probe"]["timeoutSeconds"] > 5 for probe in ("liveness", "readiness"))
    assert {name.partition("+")[0] for name in files} == set(tuning.CPU_SHARES)
    for name, text in files.items():
        document = yaml.safe_load(text)
        (container,) = document["spec"]["containers"]
        assert name == f"{container['name']}+strategic.yaml"
        assert container["livenessProbe"]["timeoutSeconds"] > 15  # kubeadm's own
        # A patch alone makes no probe: one without an address would be refused.
        assert ("readinessProbe" in container) == (container["name"] != "kube-controller-manager")


def test_the_api_server_gives_etcd_longer_to_answer_only_under_emulation() -> None:
    # With two seconds /readyz failed for moments on a busy host, and `kubelab status` with it.
    assert arguments(init(KVM)["ClusterConfiguration"]["apiServer"]) == {}
    told = arguments(init(TCG)["ClusterConfiguration"]["apiServer"])
    assert (told["etcd-healthcheck-timeout"], told["etcd-readycheck-timeout"]) == ("20s", "20s")


def test_kubeadm_is_pointed_at_a_folder_of_patches_only_where_there_is_one() -> None:
    # kubeadm fails on a folder that does not exist.
    assert "patches" not in init(KVM)["InitConfiguration"]
    assert init(TCG)["InitConfiguration"]["patches"] == {"directory": patches.FOLDER}


def test_the_kubelet_is_as_the_nodes_are_prepared() -> None:
    kubelet = init()["KubeletConfiguration"]
    assert kubelet["cgroupDriver"] == "systemd"
    assert kubelet["failSwapOn"] is True
    # A stub resolver on the loopback address would make CoreDNS ask itself.
    assert kubelet["resolvConf"] == "/etc/resolv.conf"


# What lab.yaml adds

GIVEN: dict[str, Any] = {
    "apiServerExtraArgs": {"audit-log-maxage": "7"},
    "schedulerExtraArgs": {"v": "2"},
    "etcdExtraArgs": {"snapshot-count": "5000"},
    "featureGates": {"One": True, "Another": False},
    "apiServerCertSANs": ["api.lab.example", "192.168.60.11"],
    "clusterDomain": "lab.example",
}


@pytest.mark.parametrize("speed", [KVM, TCG])
def test_arguments_of_lab_yaml_stand_beside_kubelabs_own(speed: Acceleration) -> None:
    plain, cluster = init(speed)["ClusterConfiguration"], init(speed, kubeadm=GIVEN)["ClusterConfiguration"]
    gates = {"feature-gates": "Another=false,One=true"}
    added: dict[str, dict[str, str]] = {
        "apiServer": GIVEN["apiServerExtraArgs"] | gates,
        "controllerManager": gates,
        "scheduler": GIVEN["schedulerExtraArgs"] | gates,
    }
    for part, more in added.items():
        assert arguments(cluster[part]) == arguments(plain[part]) | more
    etcd = arguments(cluster["etcd"]["local"])
    # etcd has gates of its own.
    assert etcd == arguments(plain["etcd"]["local"]) | {"snapshot-count": "5000"}
    assert cluster["apiServer"]["certSANs"] == ["127.0.0.1", "192.168.60.11", "api.lab.example"]
    assert cluster["networking"]["dnsDomain"] == "lab.example"


def test_feature_gates_reach_the_kubelet_and_kube_proxy() -> None:
    documents = init(kubeadm=GIVEN)
    for kind in ("KubeletConfiguration", "KubeProxyConfiguration"):
        assert documents[kind]["featureGates"] == GIVEN["featureGates"]
        assert "featureGates" not in init()[kind]


def test_fragments_are_merged_into_the_documents_of_the_kubelet_and_kube_proxy() -> None:
    plain, asked = (
        init(),
        init(kubelet={"maxPods": 90}, kubeProxy={"mode": "iptables", "conntrack": {"min": 1}}),
    )
    assert asked["KubeletConfiguration"] == plain["KubeletConfiguration"] | {"maxPods": 90}
    assert asked["KubeProxyConfiguration"] == plain["KubeProxyConfiguration"] | {
        "mode": "iptables",
        "conntrack": {"min": 1},
    }


def test_kubeadm_finds_the_patches_of_lab_yaml_on_every_node() -> None:
    folder = {"directory": patches.FOLDER}
    keys = {"kubeadm": {"patches": "patches"}}
    assert (init(**keys)["InitConfiguration"]["patches"], join(**keys)["patches"]) == (folder, folder)
    assert "patches" not in join()


def test_a_node_registers_under_its_own_name_and_tells_its_machine() -> None:
    nodes = {"lab-cp1": {"name": "m-k8s"}, "lab-w1": {"name": "w1-k8s"}}
    for document, name, machine in (
        (init(nodes=nodes)["InitConfiguration"], "m-k8s", "lab-cp1"),
        (join(nodes=nodes), "w1-k8s", "lab-w1"),
    ):
        registration = document["nodeRegistration"]
        assert registration["name"] == name
        assert arguments(registration, "kubeletExtraArgs")["node-labels"] == f"kubelab/machine={machine}"
    plain = join(nodes=nodes, worker=1)["nodeRegistration"]
    assert plain["name"] == "lab-w2"
    assert "node-labels" not in arguments(plain, "kubeletExtraArgs")
