"""Every node has its own hostname, machine-id, MAC address and InternalIP."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence

import pytest

from provision.checks.facts import HOSTNAME, MACHINE_ID, AllFacts
from provision.checks.state import ClusterState
from provision.cluster.health import internal_ips
from provision.testing.lab import LabUnderTest

pytestmark = pytest.mark.quick


@pytest.mark.look("kubelab ssh NODE -- hostname")
def test_every_node_has_its_own_hostname(lab: LabUnderTest, facts: AllFacts) -> None:
    names = {node.name: facts[node.name].file(HOSTNAME).split() for node in lab.inventory.nodes}
    shared = _shared(names)
    assert not shared, f"nodes share a hostname: {shared}"
    strange = [f"{node} has the hostname {' '.join(name)}" for node, name in names.items() if name != [node]]
    assert not strange, "; ".join(strange)


@pytest.mark.look("kubelab ssh NODE -- cat /etc/machine-id")
def test_every_node_has_its_own_machine_id(lab: LabUnderTest, facts: AllFacts) -> None:
    ids = {node.name: facts[node.name].file(MACHINE_ID).split() for node in lab.inventory.nodes}
    without = [node for node, found in ids.items() if not found]
    assert not without, f"no machine-id: {', '.join(without)}"
    shared = _shared(ids)
    assert not shared, f"nodes share a machine-id: {shared}"


@pytest.mark.look("kubelab ssh NODE -- ip address")
def test_every_node_has_its_own_mac_address(lab: LabUnderTest, facts: AllFacts) -> None:
    # Only in the node network: VirtualBox gives the NAT interfaces of all machines the same address.
    network = lab.config.network.nodes
    macs = {
        node.name: [
            each.mac for each in facts[node.name].addresses if ipaddress.ip_address(each.address) in network
        ]
        for node in lab.inventory.nodes
    }
    without = [node for node, found in macs.items() if not found]
    assert not without, f"no address in the node network {network}: {', '.join(without)}"
    shared = _shared(macs)
    assert not shared, f"nodes share a MAC address: {shared}"


@pytest.mark.look("kubelab kubectl -- get nodes -o wide")
def test_every_node_has_its_own_internal_ip(lab: LabUnderTest, cluster: ClusterState) -> None:
    found = {node.name: internal_ips(cluster.node(node.name)) for node in lab.inventory.nodes}
    shared = _shared(found)
    assert not shared, f"nodes share an InternalIP: {shared}"
    strange = [
        f"{node.name} has the InternalIP {', '.join(found[node.name]) or 'none'}, not {node.ip}"
        for node in lab.inventory.nodes
        if found[node.name] != [node.ip]
    ]
    assert not strange, "; ".join(strange)


def _shared(values: Mapping[str, Sequence[str]]) -> str:
    """Return which values are shared and by which nodes, or an empty string."""
    holders: dict[str, list[str]] = {}
    for node, own in values.items():
        for value in sorted(set(own)):
            holders.setdefault(value, []).append(node)
    return "; ".join(
        f"{value} of {' and '.join(names)}" for value, names in holders.items() if len(names) > 1
    )
