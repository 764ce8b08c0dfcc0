"""A root shell on one node that stays, and runs one command after the other over one SSH channel."""

from __future__ import annotations

import contextlib
import secrets
import shlex
import threading
import time
from typing import Protocol

from provision.errors import CommandTimeout, ConnectFailed, LabError, Result, last_lines
from provision.ssh.channel import BROKEN, CHUNK, Channel, Exchange, feed, is_open, start

SHELL = "sudo -n sh"
# The fifth field is the process group, which all that the shell starts belongs to.
GROUP = 'read -r pid name state parent group rest </proc/$$/stat; echo "$group"'
LABEL = 60
# Digits: a shell's exit codes have three.
LONGEST_CODE = 9


class Connection(Protocol):
    """What a shell needs of the connection to its node; `timeout` is seconds."""

    timeout: float
    cancel: threading.Event

    @property
    def node(self) -> str:
        """Return the node's name."""

    def open_channel(self) -> Channel:
        """Return a new channel; raises ConnectFailed."""

    def run(self, command: str, *, deadline: float, check: bool) -> Result:
        """Run shell text beside the shell."""


class RootShell:
    """Runs commands on one node as root; threads take turns.

    A shell that broke or was ended is made again for the next command.
    """

    def __init__(self, runner: Connection) -> None:
        self._runner = runner
        self._channel: Channel | None = None
        self._group = ""
        self._lock = threading.Lock()

    def run(self, command: str, deadline: float) -> tuple[bytes, bytes, int]:
        """Run shell text in a subshell without input; return both streams and the exit code.

        `deadline` (seconds) is for the whole command; one that outruns it is killed. What a command
        leaves running in the background must not write to its streams. Raises ConnectFailed,
        CommandTimeout, Cancelled.
        """
        with self._lock:
            if self._channel is None or not is_open(self._channel):
                self._open()
            assert self._channel is not None
            return self._ask(self._channel, command, deadline)

    def close(self) -> None:
        """End the shell; the next command makes a new one."""
        with self._lock:
            self._drop()

    def _open(self) -> None:
        self._drop()
        self._channel = self._runner.open_channel()
        group, _, _ = self._ask(self._channel, GROUP, self._runner.timeout, fresh=True)
        self._group = text if (text := group.decode(errors="replace").strip()).isdigit() else ""

    def _ask(
        self, channel: Channel, command: str, deadline: float, *, fresh: bool = False
    ) -> tuple[bytes, bytes, int]:
        nonce = secrets.token_hex(8)
        text = _frame(command, nonce)
        label = next((line.strip() for line in command.splitlines() if line.strip()), "")[:LABEL]
        exchange = Exchange(
            self._runner.node, label, time.monotonic() + deadline, deadline, self._runner.cancel
        )
        target, arguments = (start, (channel, SHELL, text)) if fresh else (feed, (channel, text))
        threading.Thread(target=target, args=arguments, daemon=True).start()
        try:
            return self._answer(exchange, channel, nonce.encode())
        except BROKEN as error:
            self._drop()
            raise ConnectFailed(
                self._runner.node, f"the SSH connection broke during `{label}`: {error}"
            ) from error
        except CommandTimeout as late:
            self._kill()
            said = "\n".join(line for line in late.output.splitlines() if nonce not in line)
            raise CommandTimeout(late.node, late.what, deadline, said) from None
        except BaseException:
            self._kill()
            raise

    def _answer(self, exchange: Exchange, channel: Channel, nonce: bytes) -> tuple[bytes, bytes, int]:
        begin, end = nonce + b"<\n", nonce + b">"

        def done(out: bytearray) -> bool:
            at = _at(out, end)
            return at >= 0 and out.find(b"\n", at) >= 0

        out, err = exchange.follow(channel, done)
        if not done(out):
            reason = last_lines(err.replace(begin, b"").decode(errors="replace")) or "it said nothing"
            self._drop()
            message = f"the root shell ended during `{exchange.what}`: {reason}"
            raise ConnectFailed(exchange.node, message, hint="kubelab status")
        # Written before the line that ended standard output, so it is on its way.
        ended = end in err
        while not ended:
            exchange.check(out, err)
            with contextlib.suppress(TimeoutError):
                data = channel.recv_stderr(CHUNK)
                if not data:
                    raise EOFError("the server closed the connection")
                err += data
                ended = _at(err, end) >= 0
        stdout, _, rest = bytes(out).partition(begin)[2].partition(end)
        stderr = bytes(err).partition(begin)[2].partition(end)[0]
        code = rest.partition(b"\n")[0].strip()
        if not code.isdigit():
            raise ConnectFailed(exchange.node, f"the root shell told no exit code of `{exchange.what}`")
        return stdout, stderr, int(code[:LONGEST_CODE])

    def _drop(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel, self._group = None, ""

    def _kill(self) -> None:
        """End the shell with all it started, which would run on after its channel is closed."""
        group = self._group
        self._drop()
        if group:
            with contextlib.suppress(LabError):
                self._runner.run(f"kill -9 -{group}", check=False, deadline=self._runner.timeout)


def _at(said: bytearray, end: bytes) -> int:
    """Return where `end` is in what was said, or -1; to be asked after each chunk that came.

    Only what came last is new; what ends it all may have come in two pieces.
    """
    return said.rfind(end, max(0, len(said) - 2 * CHUNK - len(end)))


def _frame(command: str, nonce: str) -> bytes:
    """Return shell text that runs `command` and says on both streams where its output begins and ends."""
    return (
        f"printf '{nonce}<\\n'; printf '{nonce}<\\n' >&2\n"
        f"( eval {shlex.quote(command)} ) </dev/null\n"
        f"kubelab_code=$?; printf '{nonce}>\\n' >&2; printf '{nonce}> %d\\n' $kubelab_code\n"
    ).encode()
