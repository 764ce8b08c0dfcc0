"""How to break what ties the lab to this host."""

from __future__ import annotations

from tests.sabotage.row import Sabotage

KILL_THE_RELAY = """
kill "$(sed -n 's/^ *"pid": *\\([0-9]*\\),$/\\1/p' .kubelab/*/relay.json)"
"""

ROWS: tuple[Sabotage, ...] = (
    Sabotage("test_host.py::test_the_ports_of_lab_yaml_are_open_on_this_host", host=KILL_THE_RELAY),
)
