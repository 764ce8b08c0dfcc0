"""kind's cluster file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provision.translation.draft import Draft
from provision.translation.source import Source

KUBEADM = "kubelab writes kubeadm's configuration itself, and has no key for it"
ADVICE = {
    "nodes[].labels": "after `kubelab up`: kubelab kubectl label node NODE KEY=VALUE",
    "nodes[].extraPortMappings": "not needed: this host reaches every port of a node at the node's address",
    "nodes[].extraMounts": "copy files by `kubelab cp`",
    "nodes[].kubeadmConfigPatches": KUBEADM,
    "nodes[].kubeadmConfigPatchesJSON6902": KUBEADM,
    "kubeadmConfigPatches": KUBEADM,
    "kubeadmConfigPatchesJSON6902": KUBEADM,
    "featureGates": KUBEADM,
    "runtimeConfig": KUBEADM,
    "containerdConfigPatches": "for mirrors: `registryMirrors` in lab.yaml; else edit it by kubelab ssh NODE",
    "networking.apiServerAddress": "the API server is at the address of the first control plane",
    "networking.apiServerPort": "the API server's port is 6443",
    "networking.ipFamily": "a lab has IPv4",
    "networking.kubeProxyMode": "kube-proxy works as kubelab sets it",
}
ROLES = {"control-plane": "controlPlanes", "worker": "workers"}


def fits(document: Mapping[Any, Any]) -> bool:
    """Return whether this is kind's."""
    return str(document.get("apiVersion", "")).startswith("kind.x-k8s.io/")


def translate(source: Source, draft: Draft) -> None:
    """Carry what lab.yaml has a key for."""
    source.take("apiVersion")
    source.take("kind")
    draft.name("name", source.take("name") or "kind")
    nodes = [Source(node) for node in source.take("nodes") or [{}] if isinstance(node, dict)]
    roles = [str(node.take("role") or "control-plane") for node in nodes]
    images = list(dict.fromkeys(image for node in nodes if (image := node.take("image"))))
    draft.version("nodes[].image", images[0] if images else None)
    if len(images) > 1:
        draft.lose("nodes[].image", "all nodes have one version: that of the first image is written")
    for role in sorted({*roles} - ROLES.keys()):
        draft.lose("nodes[].role", f"{role[:40]} is no role here: such nodes are left out")
    draft.control_planes("nodes[].role", roles.count("control-plane"))
    draft.number("workers.count", "nodes[].role", roles.count("worker"))
    for node in nodes:
        for key in node.left(()):
            name = f"nodes[].{key.partition('.')[0]}"
            draft.lose(name, ADVICE.get(name, "lab.yaml has no key for it"))
    if source.take("networking.disableDefaultCNI"):
        draft.values["cni"] = "none"
    if source.take("networking.ipFamily") not in (None, "ipv4"):
        draft.lose("networking.ipFamily", ADVICE["networking.ipFamily"])
    draft.network("network.pods", "networking.podSubnet", source.take("networking.podSubnet"))
    draft.network("network.services", "networking.serviceSubnet", source.take("networking.serviceSubnet"))
