"""The address of each node in the node network, and its range in the pod network."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Literal

Role = Literal["control-plane", "worker"]
CONTROL_PLANE_OFFSET = 10
WORKER_OFFSET = 20
# The address of the host in the node network.
GATEWAY_OFFSET = 1
# The port of the API server, on the address of its node.
API_PORT = 6443
# The prefix length of one node's pod range.
POD_PREFIX = 24


def offset_of(role: Role, index: int) -> int:
    """Return a node's offset: of its address in the node network, and of its range in the pod network."""
    return index + (CONTROL_PLANE_OFFSET if role == "control-plane" else WORKER_OFFSET)


def nodes_prefix(last: int) -> int:
    """Return the longest prefix of a node network that has an address at offset `last`."""
    return 32 - (last + 1).bit_length()


def pods_prefix(last: int) -> int:
    """Return the longest prefix of a pod network that has a range at offset `last`."""
    return POD_PREFIX - last.bit_length()


def refused_addresses(
    network: IPv4Network, offsets: Mapping[str, int], own: Mapping[str, IPv4Address]
) -> dict[str, str]:
    """Return node -> why it cannot have the address of its `own` in the node network.

    `offsets` are those that all nodes would have without one.
    """
    taken: dict[IPv4Address, str] = {
        network.network_address: "the network's own address",
        network.broadcast_address: "the network's broadcast address",
        network[GATEWAY_OFFSET]: "the address of the host",
    }
    taken |= {
        network[offset]: f"the address of {name}" for name, offset in offsets.items() if name not in own
    }
    refused = {}
    for name, address in own.items():
        if address not in network:
            refused[name] = f"{address} is not in network.nodes; allowed: a free address of {network}"
        elif address in taken:
            refused[name] = f"{address} is {taken[address]}; allowed: a free address of {network}"
        taken.setdefault(address, f"the address of {name}")
    return refused
