from __future__ import annotations

import pytest

from provision.cni.bridge import CONFLIST, NETWORK_SCRIPT, Bridge
from provision.config.inventory import inventory_of
from provision.config.kubernetes_versions import MINORS
from provision.config.schema import parse_config
from provision.host.facts import Acceleration
from provision.kubeadm import documents as kubeadm
from provision.providers.vagrantfile import network_xml
from tests.golden import golden

CONFIG = parse_config("{name: lab, provider: libvirt, cni: bridge}")
INVENTORY = inventory_of(CONFIG)
ACCELERATIONS = {"kvm": Acceleration("kvm", 1.0), "tcg": Acceleration("tcg", 10.0)}
IMAGES = {minor.patch: minor.images for minor in MINORS.values()}
TOKEN = "abcdef.0123456789abcdef"
PIN = f"sha256:{'0123456789abcdef' * 4}"


def test_the_network_of_libvirt() -> None:
    golden.check("network.xml", network_xml(CONFIG, INVENTORY))


@pytest.mark.parametrize(
    ("path", "name"),
    [(CONFLIST, "bridge.conflist"), (NETWORK_SCRIPT, "network.sh")],
    ids=["conflist", "script"],
)
def test_the_files_of_the_bridge(path: str, name: str) -> None:
    files = Bridge().node_files(CONFIG, INVENTORY, INVENTORY.workers[0])
    golden.check(name, files[path])


@pytest.mark.parametrize("speed", ACCELERATIONS)
@pytest.mark.parametrize("version", IMAGES)
def test_the_documents_of_kubeadm_init(version: str, speed: str) -> None:
    documents = kubeadm.init_documents(
        CONFIG, INVENTORY, version, IMAGES[version], ACCELERATIONS[speed], TOKEN
    )
    golden.check(f"init-{version}-{speed}.yaml", documents)


def test_without_kube_proxy_kubeadm_skips_it() -> None:
    config = parse_config("{name: lab, cni: {name: cilium, values: {kubeProxyReplacement: true}}}")
    documents = kubeadm.init_documents(
        config, inventory_of(config), "1.37.1", IMAGES["1.37.1"], ACCELERATIONS["kvm"], TOKEN
    )
    golden.check("init-1.37.1-no-proxy.yaml", documents)


@pytest.mark.parametrize("speed", ACCELERATIONS)
def test_the_document_of_kubeadm_join(speed: str) -> None:
    """It names no version: kubeadm joins with its own."""
    worker = INVENTORY.workers[0]
    document = kubeadm.join_document(CONFIG, worker, INVENTORY.first, TOKEN, PIN, ACCELERATIONS[speed])
    golden.check(f"join-{speed}.yaml", document)
