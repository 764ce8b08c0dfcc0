"""Whatever is in a lab.yaml: a lab that can be rendered, or words and exit code 2.

2,000 documents, the same in every run. `make fuzz` has 100,000, which are new each time.
"""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from ipaddress import IPv4Network

import yaml
from hypothesis import HealthCheck, given, settings

from provision.box.reference import BoxReference
from provision.config.inventory import inventory_of
from provision.config.schema import ClusterConfig, parse_config
from provision.errors import ConfigError
from provision.host.facts import Acceleration
from provision.kubeadm.documents import init_documents
from provision.providers.vagrantfile import network_xml, vagrantfile
from tests.fakes.documents import BATCH, batches

DOCUMENTS = int(os.environ.get("KUBELAB_FUZZ", "2000"))
ALWAYS_THE_SAME = "KUBELAB_FUZZ" not in os.environ
BOX = BoxReference("kubelab-1.36.3-abc", "1.0.0", "file:///cache/box.json", 12)
TCG = Acceleration("tcg", 10.0)
IMAGES = [f"registry.k8s.io/{name}:1" for name in ("kube-apiserver", "etcd", "coredns/coredns", "pause")]
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Of a message; a document of 60 bytes does not come back as a page.
LONGEST = 20_000


@settings(
    max_examples=DOCUMENTS // BATCH,
    derandomize=ALWAYS_THE_SAME,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
@given(batches())
def test_any_document_is_a_lab_or_words_with_exit_code_2(documents: list[str | bytes]) -> None:
    assert len(documents) == BATCH
    for content in documents:
        read(content)


def read(content: str | bytes) -> None:
    """Fail unless a text is a lab, or refused as a user deserves it."""
    try:
        config = parse_config(content)
    except ConfigError as error:
        told = str(error)
        assert error.exit_code == 2
        assert told.strip() and len(told) < LONGEST
        # What a terminal would obey is shown as what it is.
        assert all(line.isprintable() for line in told.split("\n")), told
        return
    render(config)


def render(config: ClusterConfig) -> None:
    """Make of a lab all that is made before anything is on the host."""
    inventory = inventory_of(config)
    for provider in ("libvirt", "virtualbox"):
        text = vagrantfile(config, inventory, provider, TCG, BOX, ".kubelab/lab/id_ed25519")
        assert "\x1b" not in text
    ET.fromstring(network_xml(config, inventory))
    assert all(IPv4Network(node.ip).subnet_of(config.network.nodes) for node in inventory.nodes)
    documents = init_documents(config, inventory, "1.36.3", IMAGES, TCG, "abcdef.0123456789abcdef")
    assert all(document["kind"] for document in yaml.load_all(documents, LOADER))
