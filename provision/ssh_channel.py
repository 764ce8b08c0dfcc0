"""One command over one SSH channel: both streams at once, with a deadline on the whole of it."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass

import paramiko

from provision.errors import Cancelled, CommandTimeout

CHUNK = 65536
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Exchange:
    """A command on `node`, called `what` in errors; it must have ended at the monotonic second `end`.

    `deadline` is how many seconds that was from its start; `cancel` ends it at once.
    """

    node: str
    what: str
    end: float
    deadline: float
    cancel: threading.Event

    def run(self, channel: paramiko.Channel, line: str, stdin: bytes) -> tuple[bytes, bytes, int]:
        """Run `line` and return both streams and the exit code.

        Raises CommandTimeout, Cancelled; EOFError, OSError or SSHException when the connection broke.
        """
        channel.settimeout(POLL_SECONDS)
        threading.Thread(target=_start, args=(channel, line, stdin), daemon=True).start()
        return self._drain(channel)

    def _drain(self, channel: paramiko.Channel) -> tuple[bytes, bytes, int]:
        """Read both streams at once until the command ended, or was given up."""
        out, err = bytearray(), bytearray()
        while True:
            moved = False
            if channel.recv_ready():
                out += channel.recv(CHUNK)
                moved = True
            if channel.recv_stderr_ready():
                err += channel.recv_stderr(CHUNK)
                moved = True
            if not moved and channel.exit_status_ready() and channel.eof_received:
                if channel.recv_ready() or channel.recv_stderr_ready():
                    continue
                return bytes(out), bytes(err), _exit_code(channel)
            if not moved and (channel.closed or not _alive(channel)):
                raise EOFError("the server closed the connection")
            if self.cancel.is_set():
                raise Cancelled(f"{self.node}: `{self.what}` was given up")
            if time.monotonic() > self.end:
                output = (out + err).decode(errors="replace")
                raise CommandTimeout(self.node, self.what, self.deadline, output)
            if not moved:
                _wait_for_data(channel, out, POLL_SECONDS)


def _start(channel: paramiko.Channel, line: str, stdin: bytes) -> None:
    """Start a command and give it its standard input, in a thread: both may take longer than the deadline."""
    try:
        channel.exec_command(line)
    except (paramiko.SSHException, OSError, EOFError):
        channel.close()
        return
    sent = 0
    with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
        while sent < len(stdin):
            # The channel's timeout is for reading; a program may be as slow as it likes to take its input.
            with contextlib.suppress(TimeoutError):
                sent += channel.send(stdin[sent : sent + CHUNK])
        channel.shutdown_write()


def _exit_code(channel: paramiko.Channel) -> int:
    """Return the exit code, -1 for a command that a signal ended; raises EOFError if none came."""
    code = channel.recv_exit_status()
    transport = channel.get_transport()
    if code < 0 and transport is not None:
        # A connection that breaks ends its channels a moment before itself.
        transport.join(POLL_SECONDS)
        if not transport.is_alive():
            raise EOFError("the connection ended before the command")
    return code


def _alive(channel: paramiko.Channel) -> bool:
    transport = channel.get_transport()
    return transport is not None and transport.is_active()


def _wait_for_data(channel: paramiko.Channel, out: bytearray, seconds: float) -> None:
    """Block until standard output has data or the command ended, or for `seconds`."""
    if channel.eof_received:
        channel.status_event.wait(seconds)
        return
    with contextlib.suppress(TimeoutError):
        out += channel.recv(CHUNK)
