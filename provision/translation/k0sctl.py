"""k0sctl's cluster file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provision.translation.draft import Draft
from provision.translation.source import Source

CONFIG = "spec.k0s.config"
NETWORK = f"{CONFIG}.spec.network"
KUBEADM = "kubelab makes clusters by kubeadm, and has no key for it"
ADVICE = {
    "spec.hosts[].ssh": "kubelab makes machines of its own, and uses none that are there",
    "spec.hosts[].openSSH": "kubelab makes machines of its own, and uses none that are there",
    "spec.hosts[].hostname": "give a node its name by `nodes: {lab-w1: {name: NAME}}` in lab.yaml",
    "spec.hosts[].hooks": "run commands after `kubelab up`: kubelab ssh NODE COMMAND",
    "spec.hosts[].files": "copy files by `kubelab cp`",
    "spec.hosts[].installFlags": "for the kubelet: KUBELET_EXTRA_ARGS in /etc/default/kubelet on the nodes",
    f"{CONFIG}.spec.api": "the API server is at the address of the first control plane",
    f"{CONFIG}.spec.extensions": "install them after `kubelab up`",
    CONFIG: KUBEADM,
    "spec.options": KUBEADM,
}
CONTROLLERS = ("controller", "controller+worker", "single")
CNIS = {"calico": "calico", "custom": "none"}


def fits(document: Mapping[Any, Any]) -> bool:
    """Return whether this is k0sctl's."""
    return str(document.get("apiVersion", "")).startswith("k0sctl.k0sproject.io/")


def translate(source: Source, draft: Draft) -> None:
    """Carry what lab.yaml has a key for."""
    for path in ("apiVersion", "kind", *(f"{CONFIG}.{key}" for key in ("apiVersion", "kind", "metadata"))):
        source.take(path)
    draft.name("metadata.name", source.take("metadata.name"))
    draft.version("spec.k0s.version", source.take("spec.k0s.version"))
    hosts = [Source(host) for host in source.take("spec.hosts") or [] if isinstance(host, dict)]
    roles = [str(host.take("role") or "") for host in hosts]
    draft.control_planes("spec.hosts[].role", sum(role in CONTROLLERS for role in roles) or 1)
    draft.number("workers.count", "spec.hosts[].role", roles.count("worker"))
    if "controller+worker" in roles or "single" in roles:
        taint = "node-role.kubernetes.io/control-plane-"
        draft.lose("spec.hosts[].role", f"pods on control planes: kubelab kubectl taint node NODE {taint}")
    for host in hosts:
        for key in host.left(()):
            name = f"spec.hosts[].{key.partition('.')[0]}"
            draft.lose(name, ADVICE.get(name, "lab.yaml has no key for it"))
    provider = source.take(f"{NETWORK}.provider")
    if provider in CNIS:
        draft.values["cni"] = CNIS[provider]
    elif provider is not None:
        draft.lose(f"{NETWORK}.provider", "kubelab chooses a pod network: see `cni` in lab.yaml")
    draft.network("network.pods", f"{NETWORK}.podCIDR", source.take(f"{NETWORK}.podCIDR"))
    draft.network("network.services", f"{NETWORK}.serviceCIDR", source.take(f"{NETWORK}.serviceCIDR"))
