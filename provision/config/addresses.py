"""The address of each node in the node network, and its range in the pod network."""

from __future__ import annotations

from typing import Literal

Role = Literal["control-plane", "worker"]
CONTROL_PLANE_OFFSET = 10
WORKER_OFFSET = 20
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
