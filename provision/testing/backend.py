"""The testinfra backend for a node: the lab's own connection, as root, with a deadline on every command."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from testinfra.backend.base import BaseBackend, CommandResult

from provision.node.runner import Shell

COMMAND_SECONDS = 60.0


class RootShellBackend(BaseBackend):  # type: ignore[misc]
    """A testinfra backend whose commands share one lasting root shell.

    `open_shell` makes the shell at first use, and again after `close`. `scaled` turns seconds into a
    deadline that suits the speed of the machines.
    """

    NAME = "kubelab"

    def __init__(self, node: str, open_shell: Callable[[], Shell], scaled: Callable[[float], float]) -> None:
        super().__init__(node)
        # testinfra would start Python on the node to find out the encoding.
        self._encoding = "utf-8"
        self._open_shell = open_shell
        self._scaled = scaled
        self._shell: Shell | None = None
        self._lock = threading.Lock()

    def run(self, command: str, *args: str, timeout: float = COMMAND_SECONDS, **kwargs: Any) -> CommandResult:
        """Run a command, its arguments quoted, within `timeout` seconds on a machine at full speed.

        Raises ConnectFailed, and CommandTimeout which names node and command.
        """
        line = self.get_command(command, *args)
        with self._lock:
            shell = self._shell = self._shell or self._open_shell()
        stdout, stderr, code = shell.run(line, self._scaled(timeout))
        return self.result(code, self.encode(line), stdout, stderr)

    def close(self) -> None:
        """End the shell; the next command opens another."""
        with self._lock:
            shell, self._shell = self._shell, None
        if shell is not None:
            shell.close()
