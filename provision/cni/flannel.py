"""Flannel from its published manifest: one range a node, given out by the controller manager."""

from __future__ import annotations

import json
from collections.abc import Sequence

from provision.artifacts.wanted import WantedFile
from provision.cni.base import Site
from provision.cni.documents import Document, changeable, container, find, set_env, slow_probes
from provision.cni.manifest import ManifestCni

URL = "https://github.com/flannel-io/flannel/releases/download/{version}/kube-flannel.yml"
DEFAULT = "vxlan"


class Flannel(ManifestCni):
    """Flannel with the lab's pod range, on the NIC that has the node's address."""

    default_version = "v0.28.9"
    settle_seconds = 30.0

    def file(self) -> WantedFile:
        """Return the manifest."""
        return WantedFile(URL.format(version=self.version), f"flannel-{self.version}.yaml")

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
