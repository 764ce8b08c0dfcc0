"""The address of each node in the node network, and its range in the pod network."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Literal

Role = Literal["control-plane", "worker"]
CONTROL_PLANE_OFFSET = 10
WORKER_OFFSET = 20
MOST_WORKERS = 50
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


def balanced_ranges(network: IPv4Network, own: Collection[IPv4Address]) -> list[str]:
    """Return the ranges of a node network for load balancers, each as "FIRST-LAST"; none without room.

    They are the last quarter of the network, above the address of the last worker that a lab may have,
    without the addresses of nodes' `own`.
    """
    size = network.num_addresses
    begin = max(size - size // 4, offset_of("worker", MOST_WORKERS) + 1)
    edges = sorted(int(address - int(network[0])) for address in own if address in network)
    ranges = []
    for edge in [*edges, size - 1]:
        if edge > begin:
            ranges.append(f"{network[begin]}-{network[edge - 1]}")
        begin = max(begin, edge + 1)
    return ranges
