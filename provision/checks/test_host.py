"""What ties the lab to this host: ports that lead to it, and each node's card on a bridge."""

from __future__ import annotations

import socket

import pytest

from provision.config.ports import EVERY, LOOPBACK
from provision.node.second_card import CARD
from provision.testing.lab import LabUnderTest
from provision.testing.node import LabNode

pytestmark = pytest.mark.quick

CONNECT_SECONDS = 10.0


@pytest.mark.look("kubelab status; kubelab up listens again")
def test_the_ports_of_lab_yaml_are_open_on_this_host(lab: LabUnderTest) -> None:
    if not lab.config.ports:
        pytest.skip("lab.yaml has no ports")
    closed = []
    for port in lab.config.ports:
        address = LOOPBACK if port.address == EVERY else port.address
        try:
            socket.create_connection((address, port.host), CONNECT_SECONDS).close()
        except OSError as error:
            closed.append(f"{port.text} ({error.strerror or error})")
    assert not closed, f"nothing listens for {'; '.join(closed)}"


@pytest.mark.look("kubelab ssh {node} -- networkctl status eth1")
def test_every_node_has_its_card_on_the_bridge_of_this_host(lab: LabUnderTest, node: LabNode) -> None:
    bridge = lab.config.network.bridge
    if not bridge:
        pytest.skip("lab.yaml has no network.bridge")
    said = node.run("ip -4 -oneline address show dev %s", CARD)
    assert said.succeeded, f"{node.name} has no card {CARD}, which lab.yaml wants on the bridge {bridge}"
    if " inet " not in said.stdout:
        pytest.skip(f"{node.name} has no address on the bridge {bridge}: nothing there gives one by DHCP")
