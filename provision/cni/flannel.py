"""Flannel from its published manifest: one range a node, given out by the controller manager."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import ClassVar

from provision.cni.base import Site
from provision.cni.documents import Document, changeable, container, find, set_env, slow_probes
from provision.cni.manifest import ManifestCni

URL = "https://github.com/flannel-io/flannel/releases/download/{version}/kube-flannel.yml"
DEFAULT = "vxlan"


class Flannel(ManifestCni):
    """Flannel with the lab's pod range, on the NIC that has the node's address."""

    url = URL
    default_version = "v0.28.8"
    checksums: ClassVar[Mapping[str, str]] = {
        "v0.28.8": "4148e659a834b51fc9aadc429281c6e80c97e0e25475faacd4cc857dbd16f21b",
        "v0.28.4": "d078019743c5e0194ce965125fc80ef00af0c1661ec9e12396311f1cfec860a2",
    }
    known_images: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "v0.28.8": (
            "ghcr.io/flannel-io/flannel-cni-plugin:v1.9.1-flannel2",
            "ghcr.io/flannel-io/flannel:v0.28.8",
        ),
    }
    settle_seconds = 30.0

    def documents(self, site: Site, published: Sequence[Document]) -> list[Document]:
        """Return the objects with the pod range and the address of the NIC."""
        documents = changeable(published)
        data = find(documents, "ConfigMap", "kube-flannel-cfg")["data"]
        network = json.loads(data["net-conf.json"])
        network["Network"] = str(site.config.network.pods)
        network["Backend"] = {"Type": self.settings.values.get("backend", DEFAULT)}
        data["net-conf.json"] = json.dumps(network, indent=2) + "\n"
        node = container(find(documents, "DaemonSet", "kube-flannel-ds"), "kube-flannel")
        set_env(node, NODE_IP={"fieldRef": {"fieldPath": "status.hostIP"}})
        kept = [argument for argument in node.get("args", []) if not argument.startswith("--iface")]
        node["args"] = [*kept, "--iface=$(NODE_IP)"]
        slow_probes(documents, site.acceleration.factor)
        return documents
