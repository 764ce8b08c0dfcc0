"""TCP connections that a node makes for this host, and Services that are reached by them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from provision.errors import CommandFailed, ConnectFailed
from provision.relay import far
from provision.relay.far import Service
from provision.relay.pump import join
from provision.ssh.runner import ParamikoRunner
from tests.fakes.sockets import shouting
from tests.fakes.ssh import SshServer

SERVICE = ("10.96.7.7", 80)


@pytest.fixture
def web() -> Iterator[int]:
    with shouting() as port:
        yield port


@pytest.fixture
def server(tmp_path: Path, web: int) -> Iterator[SshServer]:
    """Return a node that reaches `web` at a cluster IP, and whose kubectl says `address` in its folder."""
    with SshServer(tmp_path / "sshd") as running:
        running.inside[SERVICE] = web
        (tmp_path / "address").write_text(SERVICE[0])
        running.rewrite = lambda line: f"echo {line!r} >>{tmp_path}/asked; cat {tmp_path}/address"
        yield running


@pytest.fixture
def runner(server: SshServer) -> Iterator[ParamikoRunner]:
    made = ParamikoRunner(server.endpoint(), timeout=5)
    yield made
    made.close()


def said_through(service: Service, text: bytes) -> bytes:
    """Return what the Service answers to somebody on this host."""
    near, ours = socket.socketpair()
    threading.Thread(target=join, args=(near, service.open()), daemon=True).start()
    with ours, ours.makefile("rb") as said:
        ours.sendall(text)
        ours.shutdown(socket.SHUT_WR)
        return said.read()


def asked(tmp_path: Path) -> list[str]:
    return (tmp_path / "asked").read_text().splitlines()


def test_a_service_answers_by_a_node_which_is_asked_once_for_its_address(
    runner: ParamikoRunner, tmp_path: Path
) -> None:
    service = Service("default/web", 80, runner)
    assert said_through(service, b"hello") == b"HELLO"
    assert said_through(service, b"x" * 300_000) == b"X" * 300_000
    (line,) = asked(tmp_path)
    assert "get service --namespace=default" in line
    assert line.endswith(" web")


def test_a_refused_connection_breaks_no_other_and_the_address_is_asked_again(
    runner: ParamikoRunner, server: SshServer, web: int, tmp_path: Path
) -> None:
    service = Service("default/web", 80, runner)
    assert said_through(service, b"hello") == b"HELLO"
    there = service.open()
    server.inside = {("10.96.8.8", 80): web}
    with pytest.raises(ConnectFailed, match="it refused"):
        service.open()
    there.close()
    assert server.connections == 1
    (tmp_path / "address").write_text("10.96.8.8\n")
    assert said_through(service, b"hello") == b"HELLO"
    assert len(asked(tmp_path)) == 2


def test_an_address_is_not_believed_for_ever(
    runner: ParamikoRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(far, "KNOWN_SECONDS", 0.0)
    service = Service("default/web", 80, runner)
    for _ in range(2):
        assert said_through(service, b"hello") == b"HELLO"
    assert len(asked(tmp_path)) == 2


@pytest.mark.parametrize("said", ["None", "", "web.example.com", "10.96.7.7 10.96.8.8"])
def test_what_has_no_cluster_ip_is_not_connected_to(
    runner: ParamikoRunner, tmp_path: Path, said: str
) -> None:
    (tmp_path / "address").write_text(said)
    with pytest.raises(ConnectFailed, match="has no cluster IP"):
        Service("default/web", 80, runner).open()


def test_a_service_that_is_not_there_is_told(runner: ParamikoRunner, server: SshServer) -> None:
    server.rewrite = lambda line: "echo not found >&2; exit 1"
    with pytest.raises(CommandFailed):
        Service("default/web", 80, runner).open()


def test_after_a_node_came_back_it_is_connected_to_anew(runner: ParamikoRunner, server: SshServer) -> None:
    service = Service("default/web", 80, runner)
    assert said_through(service, b"hello") == b"HELLO"
    server.drop()
    assert said_through(service, b"hello") == b"HELLO"
    assert server.connections == 2
