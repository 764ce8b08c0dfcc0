"""Checks of the host's network: ranges that overlap, a firewall in the way, packets that are too large."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from provision.config.inventory import BRIDGE_PREFIX
from provision.doctor.apt import numbers
from provision.doctor.findings import Answer, bad, good
from provision.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from ipaddress import IPv4Network

    from provision.doctor.tools import Host

# From this version on libvirt writes nftables rules of its own, which cannot overrule a policy of iptables'.
NFTABLES_LIBVIRT = (10, 4)
NETWORK_CONFIG = "/etc/libvirt/network.conf"
_BRIDGES_FILTERED = "/proc/sys/net/bridge/bridge-nf-call-iptables"


def overlap_probe(lab: Sequence[IPv4Network], own: Sequence[str] = ()) -> Callable[[Host], Answer]:
    """Return the check that no network of the host overlaps with the lab's.

    `own` names the host's bridges that belong to this lab.
    """

    def probe(host: Host) -> Answer:
        clashes = [
            f"{network.name} has {network.cidr}, which overlaps with the lab's {wanted}"
            for network in host.facts.networks
            if network.name not in own
            for wanted in lab
            if network.cidr.overlaps(wanted)
        ]
        if clashes:
            return bad("; ".join(clashes) + ": choose another range under `network` in lab.yaml")
        return good("no overlap with the lab's")

    return probe


def mtu_probe(wanted: int) -> Callable[[Host], Answer]:
    """Return the check that the way out of this host takes packets of `wanted` bytes."""

    def probe(host: Host) -> Answer:
        if not host.facts.mtu or host.facts.mtu >= wanted:
            return good(f"{wanted} bytes a packet")
        return Answer(
            "warn",
            f"{host.facts.uplink}, the way out of this host, takes {host.facts.mtu} bytes a packet, and the "
            f"lab's machines send {wanted}: what they ask of the outside may hang",
            by_hand=(f"in lab.yaml: network: {{mtu: {host.facts.mtu}}}",),
        )

    return probe


def probe_firewall(host: Host) -> Answer:
    """What nodes send each other over the lab's bridge passes the host's firewall.

    With bridge-nf-call-iptables, which Docker switches on, iptables judges it too, and Docker's policy is to
    drop. libvirt's own rules come before that policy, as long as they are iptables rules.
    """
    filtered = host.path(_BRIDGES_FILTERED)
    if not filtered.is_file() or filtered.read_text().strip() == "0":
        return good("bridges are not filtered")
    if not _drops(host.tools.run(["iptables", "-S", "FORWARD"], deadline=30, root=True)):
        return good("it forwards what the machines send")
    if not _writes_nftables(host):
        return good("libvirt's rules come before its policy")
    rule = f"iptables -I FORWARD -i {BRIDGE_PREFIX}+ -o {BRIDGE_PREFIX}+ -j ACCEPT"
    return Answer(
        "warn",
        "the firewall drops what it forwards, as Docker makes it, and bridge-nf-call-iptables shows it the "
        "lab's bridge: the nodes may not reach each other. A rule mends it until the next boot, and for good "
        f'libvirt\'s firewall_backend = "iptables" in {NETWORK_CONFIG}',
        by_hand=(f"{'' if host.facts.is_root else 'sudo '}{rule}",),
    )


def _drops(rules: str) -> bool:
    """Return whether the chain FORWARD drops what none of its rules lets the lab's bridges send."""
    lines = rules.splitlines()
    return "-P FORWARD DROP" in lines and not any(f"-i {BRIDGE_PREFIX}+" in line for line in lines)


def _writes_nftables(host: Host) -> bool:
    try:
        version = numbers(host.tools.run(["virsh", "--version"], deadline=30))
    except LabError:
        return False
    if version < NFTABLES_LIBVIRT:
        return False
    config = host.path(NETWORK_CONFIG)
    text = config.read_text(errors="replace") if config.is_file() else ""
    return re.search(r'^\s*firewall_backend\s*=\s*"iptables"', text, re.MULTILINE) is None
