"""The settings.yaml of Vagrant projects that make a kubeadm cluster: one control plane and some workers."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from provision.config.inventory import inventory_of
from provision.config.schema import ClusterConfig
from provision.translation.draft import Draft
from provision.translation.source import Source

SYSTEM = "the nodes run Debian 13, with containerd"
ADVICE = {
    "network.dns_servers": "for other resolvers than this host: `dns: [ADDRESS]` in lab.yaml",
    "shared_folders": "copy files by `kubelab cp`",
    "environment": "for a proxy: `proxy: URL` in lab.yaml; else set variables on the nodes",
    "software.os": SYSTEM,
    "software.box": SYSTEM,
    "software.dashboard": "install it after `kubelab up`, by kubelab kubectl apply -f FILE",
}
NODES_PREFIX = 24


def fits(document: Mapping[Any, Any]) -> bool:
    """Return whether this is such a file."""
    nodes = document.get("nodes")
    return isinstance(nodes, dict) and bool(nodes.keys() & {"control", "workers"})


def translate(source: Source, draft: Draft) -> None:
    """Carry what lab.yaml has a key for."""
    draft.name("cluster_name", source.take("cluster_name"))
    draft.version("software.kubernetes", source.take("software.kubernetes"))
    calico = source.take("software.calico")
    if calico:
        draft.values["cni"] = "calico"
        draft.lose("software.calico", "kubelab's own version of Calico is written, which it was made for")
    for pool, role in (("controlPlanes", "control"), ("workers", "workers")):
        draft.number(f"{pool}.cpus", f"nodes.{role}.cpu", source.take(f"nodes.{role}.cpu"))
        draft.memory(f"{pool}.memory", f"nodes.{role}.memory", source.take(f"nodes.{role}.memory"))
    draft.number("workers.count", "nodes.workers.count", source.take("nodes.workers.count"))
    draft.network("network.pods", "network.pod_cidr", source.take("network.pod_cidr"))
    draft.network("network.services", "network.service_cidr", source.take("network.service_cidr"))
    _addresses(draft, source.take("network.control_ip"))


def _addresses(draft: Draft, control: object) -> None:
    """Put the range that the control plane's address is in; which one a node has in it is kubelab's own."""
    if control is None:
        return
    key = "network.control_ip"
    draft.network("network.nodes", key, f"{control}/{NODES_PREFIX}")
    if "network.nodes" not in draft.values:
        return
    # Said by `network` already, in other words.
    draft.lost = [each for each in draft.lost if each[0] != key]
    nodes = ipaddress.IPv4Network(draft.values["network.nodes"])
    first = inventory_of(ClusterConfig(name="lab")).first.ip.rpartition(".")[2]
    given = nodes.network_address + int(first)
    draft.lose(key, f"the control plane is {given} in {nodes}; workers follow from {given + 10} on")
