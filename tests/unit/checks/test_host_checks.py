"""The checks of what ties a lab to its host: green where it does, red or skipped where it does not."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any

import pytest

from provision.checks import test_host as checks
from tests.fakes.config import make_config


def lab_with(**keys: Any) -> Any:
    return SimpleNamespace(config=make_config(**keys))


def node_that_says(text: str, *, succeeded: bool = True) -> Any:
    answer = SimpleNamespace(stdout=text, succeeded=succeeded)
    return SimpleNamespace(name="lab-w1", run=lambda *words: answer)


def test_a_port_that_nothing_listens_on_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = {"host": server.getsockname()[1], "node": "lab-w1", "port": 80}
        for address in ("127.0.0.1", "0.0.0.0"):
            lab = lab_with(ports=[{**port, "address": address}])
            checks.test_the_ports_of_lab_yaml_are_open_on_this_host(lab)
    with pytest.raises(AssertionError, match=r"0\.0\.0\.0:\d+ -> lab-w1:80 \(Connection refused\)"):
        checks.test_the_ports_of_lab_yaml_are_open_on_this_host(lab)


def test_a_node_without_its_card_is_red_and_one_without_an_address_is_told() -> None:
    check, lab = (
        checks.test_every_node_has_its_card_on_the_bridge_of_this_host,
        lab_with(network={"bridge": "br0"}),
    )
    check(lab, node_that_says("3: eth1    inet 192.168.1.7/24 brd 192.168.1.255 scope global eth1"))
    with pytest.raises(AssertionError, match="lab-w1 has no card eth1"):
        check(lab, node_that_says("", succeeded=False))
    with pytest.raises(pytest.skip.Exception, match="no address on the bridge br0"):
        check(lab, node_that_says(""))


def test_without_the_keys_there_is_nothing_to_check() -> None:
    for check in (
        lambda: checks.test_the_ports_of_lab_yaml_are_open_on_this_host(lab_with()),
        lambda: checks.test_every_node_has_its_card_on_the_bridge_of_this_host(
            lab_with(), node_that_says("")
        ),
    ):
        with pytest.raises(pytest.skip.Exception):
            check()
