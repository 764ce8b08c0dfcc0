"""What becomes of a key of lab.yaml that is edited while the lab is there. The table is in docs/lab-yaml.md.

There is no third way: what is neither applied nor refused would be a file that lies.
"""

from __future__ import annotations

from typing import Literal

# `up` applies it, or refuses it before anything is written, or applies a larger number and refuses a smaller,
# or applies both, the smaller one after it asked. Or, if the user agrees, it restarts machines, or makes some
# anew, which are workers: for a control plane, which holds the cluster, that is refused.
Answer = Literal["applied", "refused", "grows", "both ways", "restarts", "anew"]

ANSWERS: dict[str, Answer] = {
    "name": "refused",
    # The steps of `up` know how to make a cluster, not how to upgrade one.
    "kubernetes": "refused",
    "provider": "refused",
    "runtime": "refused",
    # A machine has the packages of the box it was made of.
    "packages": "refused",
    "timeZone": "applied",
    "cni": "refused",
    "cni.name": "refused",
    "cni.version": "refused",
    "cni.values": "refused",
    # A changed manifest is applied again; the digest and the images are asked of the bundle.
    "cni.manifest": "applied",
    "cni.sha256": "applied",
    "cni.images": "applied",
    "controlPlanes": "refused",
    "controlPlanes.count": "grows",
    "controlPlanes.cpus": "restarts",
    "controlPlanes.memory": "restarts",
    "controlPlanes.disk": "refused",
    "controlPlanes.disks": "refused",
    "controlPlanes.labels": "applied",
    "controlPlanes.taints": "applied",
    "controlPlanes.provision": "applied",
    "workers": "refused",
    "workers.count": "both ways",
    "workers.cpus": "restarts",
    "workers.memory": "restarts",
    "workers.disk": "anew",
    "workers.disks": "anew",
    "workers.labels": "applied",
    "workers.taints": "applied",
    "workers.provision": "applied",
    # By its keys: NODE stands for the name of each.
    "nodes": "applied",
    # Certificates and the Node object have it.
    "nodes.NODE.name": "refused",
    "nodes.NODE.cpus": "restarts",
    "nodes.NODE.memory": "restarts",
    "nodes.NODE.disk": "anew",
    "nodes.NODE.disks": "anew",
    "nodes.NODE.labels": "applied",
    "nodes.NODE.taints": "applied",
    "nodes.NODE.provision": "applied",
    # Certificates have it.
    "nodes.NODE.address": "refused",
    "network": "refused",
    "network.nodes": "refused",
    "network.pods": "refused",
    "network.services": "refused",
    "network.mtu": "refused",
    # A machine has the cards it was made with.
    "network.bridge": "refused",
    # Only what is made from now on comes from there.
    "artifacts": "applied",
    "proxy": "applied",
    "proxy.http": "applied",
    "proxy.https": "applied",
    "proxy.noProxy": "applied",
    "registryMirrors": "applied",
    "insecureRegistries": "applied",
    "dns": "applied",
    "ports": "applied",
    # One that is in use, with what would be lost, is not taken away.
    "addons": "applied",
    # kubeadm made the cluster with them, and what was made with them differs from one to the next.
    "kubeadm": "refused",
    "kubeadm.apiServerExtraArgs": "refused",
    "kubeadm.controllerManagerExtraArgs": "refused",
    "kubeadm.schedulerExtraArgs": "refused",
    "kubeadm.etcdExtraArgs": "refused",
    "kubeadm.apiServerCertSANs": "refused",
    "kubeadm.featureGates": "refused",
    "kubeadm.clusterDomain": "refused",
    "kubeadm.patches": "refused",
    "kubelet": "refused",
    "kubeProxy": "refused",
}


def row_of(key: str) -> str:
    """Return the key by which ANSWERS has a key of lab.yaml: "nodes.lab-w1.cpus" -> "nodes.NODE.cpus"."""
    parts = key.split(".")
    return ".".join(["nodes", "NODE", *parts[2:]]) if parts[0] == "nodes" and len(parts) > 1 else key


def answer_to(key: str) -> Answer:
    """Return what becomes of an edit of a key, such as "workers.memory" or "nodes.lab-w1.memory"."""
    return ANSWERS[row_of(key)]
