"""Every node is itself: what has to differ between nodes does."""

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
    assert not shared, f"one hostname for two: {shared}"
    strange = [f"{node} calls itself {' '.join(name)}" for node, name in names.items() if name != [node]]
    assert not strange, "; ".join(strange)


@pytest.mark.look("kubelab ssh NODE -- cat /etc/machine-id")
def test_every_node_has_its_own_machine_id(lab: LabUnderTest, facts: AllFacts) -> None:
    ids = {node.name: facts[node.name].file(MACHINE_ID).split() for node in lab.inventory.nodes}
    without = [node for node, found in ids.items() if not found]
    assert not without, f"no machine-id: {', '.join(without)}"
    shared = _shared(ids)
    assert not shared, f"one machine-id for two, as if one were copied from the other: {shared}"


@pytest.mark.look("kubelab ssh NODE -- ip address")
def test_every_node_has_its_own_mac_address(lab: LabUnderTest, facts: AllFacts) -> None:
    # In the nodes' own network: behind its NAT VirtualBox gives all machines the same one, which is well.
    network = lab.config.network.nodes
    macs = {
        node.name: [
            each.mac for each in facts[node.name].addresses if ipaddress.ip_address(each.address) in network
        ]
        for node in lab.inventory.nodes
    }
    without = [node for node, found in macs.items() if not found]
    assert not without, f"no address in the nodes' network {network}: {', '.join(without)}"
    shared = _shared(macs)
    assert not shared, f"one MAC address for two: {shared}"


@pytest.mark.look("kubelab kubectl -- get nodes -o wide")
def test_every_node_has_its_own_internal_ip(lab: LabUnderTest, cluster: ClusterState) -> None:
    found = {node.name: internal_ips(cluster.node(node.name)) for node in lab.inventory.nodes}
    shared = _shared(found)
    assert not shared, f"one InternalIP for two: {shared}"
    strange = [
        f"{node.name} has the InternalIP {', '.join(found[node.name]) or 'none'}, not {node.ip}"
        for node in lab.inventory.nodes
        if found[node.name] != [node.ip]
    ]
    assert not strange, "; ".join(strange)


def _shared(values: Mapping[str, Sequence[str]]) -> str:
    """Return which values several nodes have, and which nodes, or an empty string."""
    holders: dict[str, list[str]] = {}
    for node, own in values.items():
        for value in sorted(set(own)):
            holders.setdefault(value, []).append(node)
    return "; ".join(
        f"{value} of {' and '.join(names)}" for value, names in holders.items() if len(names) > 1
    )
