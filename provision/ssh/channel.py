"""One command over one SSH channel: reads both streams, with a deadline for the whole command."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import paramiko

from provision.errors import Cancelled, CommandTimeout, RemoteError

Channel = paramiko.Channel
# What paramiko raises when a connection or a channel breaks.
BROKEN = (paramiko.SSHException, OSError, EOFError)
CHUNK = 65536
# What a node may say on both streams of one command, in MiB: none of ours says as much as one.
MOST_MIB = 64
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

    def run(self, channel: Channel, line: str, stdin: bytes) -> tuple[bytes, bytes, int]:
        """Run `line` and return both streams and the exit code.

        Raises CommandTimeout, Cancelled; EOFError, OSError or SSHException when the connection broke.
        """
        threading.Thread(target=_run_whole, args=(channel, line, stdin), daemon=True).start()
        out, err = self.follow(channel)
        return bytes(out), bytes(err), _exit_code(channel)

    def follow(
        self, channel: Channel, done: Callable[[bytearray], bool] = lambda out: False
    ) -> tuple[bytearray, bytearray]:
        """Read both streams at once until `done(out)` or the program ended; return them.

        Raises as `run` does.
        """
        channel.settimeout(POLL_SECONDS)
        out, err = bytearray(), bytearray()
        while not done(out):
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
                break
            if not moved and (channel.closed or not _alive(channel)):
                raise EOFError("the server closed the connection")
            self.check(out, err)
            if not moved:
                _wait_for_data(channel, out, POLL_SECONDS)
        return out, err

    def check(self, out: bytearray, err: bytearray) -> None:
        """Raise Cancelled or CommandTimeout, with what was said so far, when it is time for either.

        Raises RemoteError when more was said than a node may say.
        """
        if self.cancel.is_set():
            raise Cancelled(f"{self.node}: `{self.what}` was cancelled")
        if time.monotonic() > self.end:
            raise CommandTimeout(self.node, self.what, self.deadline, (out + err).decode(errors="replace"))
        if len(out) + len(err) > MOST_MIB * 2**20:
            raise RemoteError(
                self.node,
                f"`{self.what}` said more than {MOST_MIB} MiB",
                hint=f"look at what the node does: kubelab ssh {self.node}",
            )


def start(channel: Channel, line: str, stdin: bytes) -> None:
    """Start a program and send it input; call it in a thread, since both may block for long."""
    try:
        channel.exec_command(line)
    except BROKEN:
        channel.close()
        return
    feed(channel, stdin)


def feed(channel: Channel, stdin: bytes) -> None:
    """Send a program its input, however slowly it reads; the channel's reader reports a broken channel."""
    sent = 0
    with contextlib.suppress(*BROKEN):
        while sent < len(stdin):
            # The channel's timeout is meant for reading; a program may read its input slowly.
            with contextlib.suppress(TimeoutError):
                sent += channel.send(stdin[sent : sent + CHUNK])


def is_open(channel: Channel) -> bool:
    """Return whether a program at the other end still accepts input."""
    return _alive(channel) and not (channel.closed or channel.eof_received or channel.exit_status_ready())


def _run_whole(channel: Channel, line: str, stdin: bytes) -> None:
    start(channel, line, stdin)
    with contextlib.suppress(*BROKEN):
        channel.shutdown_write()


def _exit_code(channel: Channel) -> int:
    """Return the exit code, -1 for a command ended by a signal; raises EOFError if there is none."""
    code = channel.recv_exit_status()
    transport = channel.get_transport()
    if code < 0 and transport is not None:
        # When a connection breaks, its channels end a moment before it does.
        transport.join(POLL_SECONDS)
        if not transport.is_alive():
            raise EOFError("the connection ended before the command")
    return code


def _alive(channel: Channel) -> bool:
    transport = channel.get_transport()
    return transport is not None and transport.is_active()


def _wait_for_data(channel: Channel, out: bytearray, seconds: float) -> None:
    """Block until standard output has data or the command ended, or for `seconds`."""
    if channel.eof_received:
        channel.status_event.wait(seconds)
        return
    with contextlib.suppress(TimeoutError):
        out += channel.recv(CHUNK)
