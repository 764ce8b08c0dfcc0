"""The interface to a node: run a script there and return its output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from provision.errors import CommandFailed, CommandTimeout, Result

if TYPE_CHECKING:
    from collections.abc import Sequence


class Shell(Protocol):
    """A persistent root shell on one node: a command costs a round trip, but no login."""

    def run(self, command: str, deadline: float) -> tuple[bytes, bytes, int]:
        """Run shell text within `deadline` seconds; return both streams and the exit code."""

    def close(self) -> None:
        """End the shell."""


class Runner(Protocol):
    """Runs commands on one node.

    `command` is either an argv (a sequence, quoted by the runner) or a shell script (a string, run
    by `sh -eu`). `stdin` is the standard input of an argv; secrets are passed this way, since everybody can
    read the arguments of a process. `deadline` is for the whole command, in seconds. `what` is the short
    name that errors use instead of the full command.
    """

    @property
    def node(self) -> str:
        """Return the node's name."""

    def run(
        self,
        command: str | Sequence[str],
        *,
        sudo: bool = True,
        stdin: str = "",
        deadline: float = 60.0,
        check: bool = True,
        what: str = "",
    ) -> Result:
        """Run `command`; raise CommandFailed on a non-zero exit unless `check` is false.

        Raises ConnectFailed, CommandFailed, CommandTimeout, Cancelled.
        """

    def put(self, content: str | bytes, path: str, *, mode: int = 0o644) -> None:
        """Write `content` to `path` on the node as root, atomically, making its folder."""

    def get(self, path: str) -> bytes:
        """Return the bytes of the file `path`, read as root."""

    def shell(self) -> Shell:
        """Return a root shell, opened at its first command; the caller must close it."""


def run_in(shell: Shell, node: str, script: str, *, deadline: float, what: str) -> str:
    """Run a script, as by `sh -eu`, in a shell of `node`; return its output. Raises as `Runner.run` does."""
    try:
        stdout, stderr, code = shell.run(f"set -eu\n{script}", deadline)
    except CommandTimeout as late:
        raise CommandTimeout(node, what, deadline, late.output) from None
    result = Result(stdout.decode(errors="replace"), stderr.decode(errors="replace"), code)
    if not result.ok:
        raise CommandFailed(node, what, result)
    return result.stdout
