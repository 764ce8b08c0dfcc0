"""Host keys bound to machine ids, with SSH servers on loopback as the nodes."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from provision.config.inventory import Inventory
from provision.errors import ConnectFailed, RemoteError
from provision.node.runner import Runner
from provision.ssh import host_keys
from provision.ssh.runner import ParamikoRunner
from tests.fakes.lab import Lab, make_lab
from tests.fakes.providers.ids import id_of
from tests.fakes.ssh import SshServer


class Nodes:
    """A lab of two nodes, each an SSH server that shows the UUID of `shown`."""

    def __init__(self, lab: Lab, servers: dict[str, SshServer]) -> None:
        self.lab = lab
        self.ctx = lab.ctx
        self.servers = servers
        self.kept: dict[str, Runner] = {}
        for name, server in servers.items():
            lab.machines.make(name)
            self.show(name, lab.machines.known[name])
            self._answer(name, server)

    def show(self, name: str, uuid: str) -> None:
        (self.servers[name].folder / "uuid").write_text(f"{uuid}\n")

    def known(self) -> list[list[str]]:
        return [line.split() for line in self.ctx.workspace.known_hosts.read_text().splitlines()]

    def missing(self) -> list[str]:
        return [node.name for node in self.ctx.host_keys.missing(self.ctx.machines.ids())]

    def line(self, name: str, machine: str) -> list[str]:
        """Return what should be recorded of a node."""
        node, key = self.ctx.inventory.node(name), self.servers[name].host_key
        return [node.ip, "ssh-ed25519", key.get_base64(), f"{name}={machine}"]

    def _answer(self, name: str, server: SshServer) -> None:
        file = str(server.folder / "uuid")
        server.rewrite = lambda line: line.replace(host_keys.UUID_FILE, file)


@pytest.fixture
def nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nodes]:
    lab = make_lab(tmp_path, workers={"count": 1})
    servers: dict[str, SshServer] = {}
    with contextlib.ExitStack() as stack:
        for number, node in enumerate(lab.ctx.inventory.nodes):
            port = next(iter(servers.values())).port if servers else 0
            server = SshServer(tmp_path / node.name, f"127.0.0.{11 + number}", port)
            servers[node.name] = stack.enter_context(server)
        first, second = servers.values()
        second.client_key = first.client_key
        shutil.copy(first.client_file, lab.ctx.workspace.ssh_key)
        monkeypatch.setattr(host_keys, "PORT", first.port)
        moved = tuple(
            dataclasses.replace(node, ip=servers[node.name].host) for node in lab.ctx.inventory.nodes
        )
        kept: dict[str, Runner] = {}
        ctx = dataclasses.replace(
            lab.ctx,
            inventory=Inventory(moved, lab.ctx.inventory.gateway),
            keep=lambda runner: kept.__setitem__(runner.node, runner),
        )
        found = Nodes(dataclasses.replace(lab, ctx=ctx), servers)
        found.kept = kept
        yield found
        for runner in kept.values():
            assert isinstance(runner, ParamikoRunner)
            runner.close()


def test_each_key_is_recorded_with_the_machine_it_belongs_to(nodes: Nodes) -> None:
    assert nodes.missing() == ["lab-cp1", "lab-w1"]
    nodes.ctx.pin_host_keys()
    expected = [nodes.line(name, id_of(name)) for name in ("lab-cp1", "lab-w1")]
    assert nodes.known() == expected
    assert nodes.missing() == []
    for file in (nodes.ctx.workspace.known_hosts, nodes.ctx.workspace.ssh_config):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_first_connection_is_kept_and_used_again(nodes: Nodes) -> None:
    nodes.ctx.pin_host_keys()
    assert nodes.kept["lab-w1"].run(["echo", "hello"]).stdout == "hello\n"
    assert nodes.servers["lab-w1"].connections == 1
    runner = nodes.kept["lab-w1"]
    assert isinstance(runner, ParamikoRunner)
    assert not runner.endpoint.pin


def test_a_uuid_in_other_letters_is_the_same(nodes: Nodes) -> None:
    nodes.show("lab-cp1", id_of("lab-cp1").upper())
    nodes.ctx.pin_host_keys()
    assert nodes.missing() == []


def test_another_machine_at_a_nodes_address_is_not_believed(nodes: Nodes) -> None:
    nodes.show("lab-w1", id_of("a-stranger"))
    with pytest.raises(RemoteError) as caught:
        nodes.ctx.pin_host_keys()
    assert isinstance(caught.value, ConnectFailed)
    assert caught.value.node == "lab-w1"
    assert id_of("a-stranger") in caught.value.message
    assert "kubelab destroy" in caught.value.hint
    assert "lab-w1" in nodes.missing()
    assert nodes.kept == {}


def test_what_is_pinned_is_not_asked_again(nodes: Nodes) -> None:
    nodes.ctx.pin_host_keys()
    before = nodes.known()
    for server in nodes.servers.values():
        server.connections = 0
    nodes.ctx.pin_host_keys()
    assert nodes.known() == before
    assert [server.connections for server in nodes.servers.values()] == [0, 0]


def test_a_machine_made_anew_is_pinned_anew_and_its_old_key_forgotten(nodes: Nodes) -> None:
    nodes.ctx.pin_host_keys()
    nodes.lab.machines.known["lab-w1"] = id_of("2")
    assert nodes.missing() == ["lab-w1"]
    nodes.show("lab-w1", id_of("2"))
    nodes.ctx.pin_host_keys()
    assert nodes.known() == [nodes.line("lab-cp1", id_of("lab-cp1")), nodes.line("lab-w1", id_of("2"))]
    assert nodes.servers["lab-cp1"].connections == 1


def test_the_ssh_config_reaches_every_node_and_no_unknown_key(nodes: Nodes) -> None:
    nodes.ctx.pin_host_keys()
    space = nodes.ctx.workspace
    blocks = space.ssh_config.read_text().split("\n\n")
    assert [block.splitlines()[0] for block in blocks] == ["Host lab-cp1", "Host lab-w1"]
    for block, server in zip(blocks, nodes.servers.values(), strict=True):
        options = dict(line.split(maxsplit=1) for line in block.splitlines())
        assert (options["HostName"], options["User"]) == (server.host, "vagrant")
        assert options["IdentityFile"] == f'"{space.ssh_key}"'
        assert options["UserKnownHostsFile"] == f'"{space.known_hosts}"'
        assert options["StrictHostKeyChecking"] == "yes"
