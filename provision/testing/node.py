"""A node in a test: its data from lab.yaml, and a testinfra host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from testinfra.host import Host

from provision.config.addresses import Role
from provision.config.inventory import Node
from provision.node.runner import Shell
from provision.testing.backend import RootShellBackend


class LabNode:
    """One node, with everything that a testinfra Host has: `run`, `check_output`, `file`, `service`, ...

    Commands run as root in `sh`, without input. They have 60 seconds, or the `timeout=` given to `run`
    (more where the machines are emulated), and raise CommandTimeout after that.
    """

    def __init__(self, node: Node, open_shell: Callable[[], Shell], scaled: Callable[[float], float]) -> None:
        self._node = node
        self._backend = RootShellBackend(node.name, open_shell, scaled)
        self._host = self._new_host()

    @property
    def name(self) -> str:
        return self._node.name

    @property
    def role(self) -> Role:
        """Return "control-plane" or "worker"."""
        return self._node.role

    @property
    def ip(self) -> str:
        """Return the address in the node network, which is the node's InternalIP."""
        return self._node.ip

    @property
    def is_control_plane(self) -> bool:
        return self._node.is_control_plane

    def disconnect(self) -> None:
        """Close the root shell, and drop what testinfra has cached about the node."""
        self._backend.close()
        self._host = self._new_host()

    def _new_host(self) -> Host:
        host = Host(self._backend)
        self._backend.set_host(host)
        return host

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._host, name)

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<{self.role} {self.name}>"
