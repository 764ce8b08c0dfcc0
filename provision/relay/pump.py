"""Two connections made one: what comes from either goes to the other, until both have ended."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Protocol

CHUNK = 65536


class Stream(Protocol):
    """A socket, or a channel of SSH, which is used like one."""

    def recv(self, size: int, /) -> bytes:
        """Return what came, nothing at the end."""

    def sendall(self, data: bytes, /) -> None:
        """Send all of it."""

    def shutdown(self, how: int, /) -> None:
        """End one direction."""

    def close(self) -> None:
        """End both."""


def join(near: Stream, far: Stream) -> None:
    """Pass on what comes from each, until both directions ended; then both are closed."""
    back = threading.Thread(target=_pass_on, args=(far, near), daemon=True)
    try:
        back.start()
        _pass_on(near, far)
        back.join()
    finally:
        _cut(near)
        _cut(far)


def _pass_on(source: Stream, sink: Stream) -> None:
    """Pass on until `source` ends its side; where one of them broke, both are ended."""
    try:
        while data := source.recv(CHUNK):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except (OSError, EOFError):
        _cut(source)
        _cut(sink)


def _cut(stream: Stream) -> None:
    """End a stream, and let whoever waits for it see that."""
    with contextlib.suppress(OSError, EOFError):
        stream.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError, EOFError):
        stream.close()
