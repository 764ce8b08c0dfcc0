"""The second card of a node, on a bridge of the host: an address by DHCP, and no say in the lab's routes."""

from __future__ import annotations

from provision.node.files import File

CARD = "eth1"
FILE = "/etc/systemd/network/20-bridge.network"
# A default route of the first card has the metric 1024, and goes before.
_NETWORK = f"""\
# The card on the host's bridge. Its routes come after those of the lab's own network.
[Match]
Name={CARD}

[Link]
RequiredForOnline=no

[Network]
DHCP=ipv4
LinkLocalAddressing=no
IPv6AcceptRA=no

[DHCPv4]
ClientIdentifier=mac
UseHostname=no
UseDNS=no
UseNTP=no
RouteMetric=2048
"""


def card_files(bridge: str) -> dict[str, File]:
    """Return path -> file of a node with a card on that bridge; none without one."""
    return {FILE: File(_NETWORK)} if bridge else {}


def reload_script(bridge: str) -> str:
    """Return a script to run after the files are written: the card gets its address, in its own time."""
    return "networkctl reload" if bridge else ""
