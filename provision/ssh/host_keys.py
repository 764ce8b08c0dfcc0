"""The pinned SSH host keys of the nodes, each bound to the id of its machine.

At first contact any key is accepted, and recorded if the machine is the one that Vagrant made: the UUID of
its firmware must be the machine id that Vagrant keeps. After that no other key is accepted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from provision.config.inventory import Inventory, Node
from provision.engine.parallel import on_all
from provision.engine.waiting import Clock, poll_until
from provision.errors import ConfigError, ConnectFailed
from provision.host.files import PRIVATE, read_text, write_atomic
from provision.ssh.runner import Endpoint, ParamikoRunner
from provision.workspace import Workspace

USER = "vagrant"
PORT = 22
DAMAGED = "remove that file, then: kubelab up"
UUID_FILE = "/sys/class/dmi/id/product_uuid"


@dataclass(frozen=True)
class HostKeys:
    """The recorded keys of a lab's nodes. `scaled` turns seconds into a deadline that suits the machines."""

    workspace: Workspace
    inventory: Inventory
    scaled: Callable[[float], float]
    clock: Clock
    cancel: threading.Event

    def endpoint(self, node: Node, *, pin: bool = False) -> Endpoint:
        """Return where and how to reach a node; with `pin` any host key is accepted."""
        space = self.workspace
        return Endpoint(node.name, node.ip, PORT, USER, space.ssh_key, space.known_hosts, pin)

    def missing(self, ids: Mapping[str, str]) -> list[Node]:
        """Return the nodes whose machine in `ids` (node name -> machine id) has no recorded key."""
        known = self._read()
        return [node for node in self.inventory.nodes if _mark(node, ids.get(node.name, "")) not in known]

    def pin(self, ids: Mapping[str, str]) -> list[ParamikoRunner]:
        """Record missing keys, and write the ssh_config for other tools.

        Returns the connections it opened. Raises ConnectFailed when another machine answers at an address.
        """
        wanted = self.missing(ids)
        runners = {node.name: self._first_contact(node) for node in wanted}
        lines = on_all(wanted, lambda node: self._ask(node, runners[node.name], ids[node.name]), self.cancel)
        self._keep(ids, {_mark(node, ids[node.name]): lines[node.name] for node in wanted})
        for runner in runners.values():
            runner.trust_recorded_key()
        return list(runners.values())

    def forget_others(self, ids: Mapping[str, str]) -> None:
        """Remove the keys of all machines but those in `ids`, and their part of the ssh_config."""
        if self.workspace.known_hosts.is_file():
            self._keep(ids, {})

    def _keep(self, ids: Mapping[str, str], new: dict[str, str]) -> None:
        """Write the known keys of the machines `ids`, and `new` ones (mark -> line), and the ssh_config."""
        current = {_mark(node, ids[node.name]) for node in self.inventory.nodes if node.name in ids}
        kept = {mark: line for mark, line in self._read().items() if mark in current} | new
        text = "".join(f"{line}\n" for line in kept.values())
        write_atomic(self.workspace.known_hosts, text, mode=PRIVATE)
        write_atomic(self.workspace.ssh_config, ssh_config(self.workspace, self.inventory), mode=PRIVATE)

    def _first_contact(self, node: Node) -> ParamikoRunner:
        return ParamikoRunner(self.endpoint(node, pin=True), timeout=self.scaled(10), cancel=self.cancel)

    def _ask(self, node: Node, runner: ParamikoRunner, machine: str) -> str:
        """Return the known_hosts line of a node, after checking that it is the right machine."""

        def read_uuid() -> str:
            return runner.run(["cat", UUID_FILE], deadline=self.scaled(10)).stdout.strip()

        # A machine that an interrupted run has started may still be booting.
        shown = poll_until(
            read_uuid,
            what=f"SSH on {node.name}",
            deadline=self.scaled(30),
            clock=self.clock,
            errors=ConnectFailed,
            hint="kubelab status; the machine's console: virsh console",
        )
        kind, key = runner.host_key()
        if shown.lower() != machine.lower():
            raise ConnectFailed(
                node.name,
                f"the machine at {node.ip} has the id {shown}, but Vagrant made {machine}",
                hint="another machine has the node's address; kubelab destroy, then kubelab up",
            )
        return f"{node.ip} {kind} {key} {_mark(node, machine)}"

    def _read(self) -> dict[str, str]:
        """Return mark -> line of the recorded keys."""
        file = self.workspace.known_hosts
        lines = read_text(file, hint=DAMAGED).splitlines() if file.is_file() else []
        return {line.rsplit(" ", 1)[-1]: line for line in lines if line.strip()}


def ssh_config(workspace: Workspace, inventory: Inventory) -> str:
    """Return an OpenSSH configuration with every node by its name."""
    blocks = [
        f"Host {node.name}\n  HostName {node.ip}\n  Port {PORT}\n  User {USER}\n"
        f"  IdentityFile {quoted(workspace.ssh_key)}\n  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {quoted(workspace.known_hosts)}\n  StrictHostKeyChecking yes\n"
        for node in inventory.nodes
    ]
    return "\n".join(blocks)


def quoted(path: Path) -> str:
    """Return a path as a value for OpenSSH, which splits values at spaces and replaces %-signs in them.

    Raises ConfigError for one that it would read as something else whatever is done.
    """
    text = str(path)
    if "${" in text or "\n" in text:
        raise ConfigError(
            f"the path of the lab's folder, {text!r}, cannot be told to OpenSSH", hint="rename the folder"
        )
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def _mark(node: Node, machine: str) -> str:
    return f"{node.name}={machine}"
