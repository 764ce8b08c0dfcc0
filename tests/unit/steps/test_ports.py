"""Ports of the host on a lab that is made, edited, stopped and destroyed; the process is a real one."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from provision.errors import ConfigError
from provision.lab.context import Context
from provision.lab.ports import bring_back, relayed
from provision.lab.refusals import refuse_taken_ports
from provision.lifecycle.destroy import destroy
from provision.lifecycle.stop import stop
from provision.providers.base import STOPPED
from provision.relay import process
from provision.relay.record import living
from provision.status.diff import find
from provision.steps.ports import PortsStep
from tests.fakes.lab import Lab, changed, make_lab
from tests.fakes.node.runner import OK


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """Return a lab two of whose ports lead to a node and to a Service; what listens is ended afterwards."""
    ports = [
        {"host": free_port(), "node": "lab-w1", "port": 30080},
        {"host": free_port(), "service": "default/web", "port": 80},
    ]
    made = make_lab(tmp_path, workers={"count": 1}, ports=ports)
    yield made
    process.end(made.ctx.workspace.relay)


def are_open(lab: Lab) -> bool:
    for port in lab.ctx.config.ports:
        try:
            socket.create_connection(("127.0.0.1", port.host), 10).close()
        except ConnectionRefusedError:
            return False
    return True


def without_ports(lab: Lab) -> Lab:
    config = lab.ctx.config.model_copy(update={"ports": ()})
    return dataclasses.replace(lab, ctx=changed(lab.ctx, config=config))


def test_they_are_open_until_lab_yaml_has_them_no_more(lab: Lab) -> None:
    assert lab.run(PortsStep()) == ["ports"]
    assert are_open(lab)
    record = living(lab.ctx.workspace.relay)
    assert record is not None
    assert [(way.node, way.service) for way in record.plan.ways] == [
        ("192.168.60.21", ""),
        ("", "default/web"),
    ]
    assert lab.run(PortsStep()) == []
    assert without_ports(lab).run(PortsStep()) == ["ports"]
    assert not are_open(lab)
    assert without_ports(lab).run(PortsStep()) == []


def test_diff_tells_of_them_while_a_machine_runs(lab: Lab) -> None:
    lab.script(("proxy", OK))
    lab.machines.make("lab-w1", STOPPED)
    assert find(lab.ctx, lab.ctx.config).unknown["ports"] == "no machine runs"
    lab.machines.make("lab-w1")
    assert told(lab) == ["none", ", ".join(port.text for port in lab.ctx.config.ports)]
    lab.run(PortsStep())
    assert told(lab) == []


def told(lab: Lab) -> list[str]:
    """Return what `diff` says of the ports, in the lab and in lab.yaml."""
    found = [each for each in find(lab.ctx, lab.ctx.config).differences if each.key == "ports"]
    assert not any(each.refused for each in found)
    return [text for each in found for text in (each.lab, each.file)]


@pytest.mark.parametrize("end", [stop, destroy])
def test_they_are_closed_with_the_lab(lab: Lab, end: Callable[[Context], None]) -> None:
    lab.run(PortsStep())
    end(lab.ctx)
    assert not are_open(lab)
    assert not lab.ctx.workspace.relay.exists()


def test_a_restore_opens_those_of_a_lab_that_was_stopped_and_those_of_one_that_ran_anew(lab: Lab) -> None:
    for _ in range(2):
        bring_back(lab.ctx)
        assert are_open(lab)
    assert lab.report.of("warn") == []


def test_a_port_that_somebody_else_has_is_refused_at_once_and_our_own_is_not(lab: Lab) -> None:
    space, config = lab.ctx.workspace, lab.ctx.config
    lab.run(PortsStep())
    refuse_taken_ports(config, space)
    process.end(space.relay)
    with socket.create_server(("127.0.0.1", config.ports[1].host)):
        with pytest.raises(ConfigError, match="is in use on this host") as caught:
            refuse_taken_ports(config, space)
        bring_back(lab.ctx)
    assert caught.value.key == "ports.1.host"
    (warning,) = lab.report.of("warn")
    assert "Address already in use" in warning["text"]
    assert relayed(lab.ctx) == []
