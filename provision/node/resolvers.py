"""The resolvers of a node: those of lab.yaml, or this host by its address in the lab's network."""

from __future__ import annotations

from provision.config.inventory import Inventory
from provision.config.schema import ClusterConfig

# Written by nobody else: systemd-networkd is told to leave DNS alone.
RESOLV_CONF = "/etc/resolv.conf"


def resolvers(config: ClusterConfig, inventory: Inventory) -> list[str]:
    """Return the addresses that the nodes ask, in this order."""
    return [str(address) for address in config.dns] or [inventory.gateway]


def resolv_conf(config: ClusterConfig, inventory: Inventory) -> str:
    """Return the file that says so to programs, and by the kubelet to pods."""
    return "".join(f"nameserver {address}\n" for address in resolvers(config, inventory))


def resolvers_in(text: str) -> list[str]:
    """Return the addresses that a resolv.conf names."""
    words = (line.split() for line in text.splitlines())
    return [found[1] for found in words if found[:1] == ["nameserver"] and len(found) > 1]
