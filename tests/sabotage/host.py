"""How to break what ties the lab to this host."""

from __future__ import annotations

from tests.sabotage.row import Sabotage

KILL_THE_RELAY = """
kill "$(sed -n 's/^ *"pid": *\\([0-9]*\\),$/\\1/p' .kubelab/*/relay.json)"
"""
TAKE_THE_CARD = """
device=$(readlink -f /sys/class/net/eth1/device)
echo "${device##*/}" >/sys/bus/virtio/drivers/virtio_net/unbind
"""

ROWS: tuple[Sabotage, ...] = (
    Sabotage("test_host.py::test_the_ports_of_lab_yaml_are_open_on_this_host", host=KILL_THE_RELAY),
    Sabotage(
        "test_host.py::test_every_node_has_its_card_on_the_bridge_of_this_host",
        node="w1",
        script=TAKE_THE_CARD,
    ),
)
