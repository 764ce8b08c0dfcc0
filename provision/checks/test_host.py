"""What ties the lab to this host: ports that lead to it."""

from __future__ import annotations

import socket

import pytest

from provision.config.ports import EVERY, LOOPBACK
from provision.testing.lab import LabUnderTest

pytestmark = pytest.mark.quick

CONNECT_SECONDS = 10.0


@pytest.mark.look("kubelab status; kubelab up listens again")
def test_the_ports_of_lab_yaml_are_open_on_this_host(lab: LabUnderTest) -> None:
    if not lab.config.ports:
        pytest.skip("lab.yaml has no ports")
    closed = []
    for port in lab.config.ports:
        address = LOOPBACK if port.address == EVERY else port.address
        try:
            socket.create_connection((address, port.host), CONNECT_SECONDS).close()
        except OSError as error:
            closed.append(f"{port.text} ({error.strerror or error})")
    assert not closed, f"nothing listens for {'; '.join(closed)}"
