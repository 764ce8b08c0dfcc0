from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from provision.providers.libvirt.made import bridge_of

OWN = """
<interface type='network'>
  <source network='kubelab-lab' bridge='kl0123'/><alias name='ua-net-0'/>
</interface>
"""
VAGRANTS = "<interface type='bridge'><source bridge='br0'/><alias name='ua-net-1'/></interface>"
USERS = "<interface type='bridge'><source bridge='br7'/><alias name='net1'/></interface>"
UNNAMED = "<interface type='bridge'><source bridge='br7'/></interface>"


@pytest.mark.parametrize(
    ("cards", "bridge"),
    [(OWN, ""), (OWN + VAGRANTS, "br0"), (OWN + USERS + UNNAMED, ""), (OWN + USERS + VAGRANTS, "br0")],
)
def test_the_bridge_is_that_of_the_card_that_vagrant_made(cards: str, bridge: str) -> None:
    assert bridge_of(ET.fromstring(f"<domain><devices>{cards}</devices></domain>")) == bridge
