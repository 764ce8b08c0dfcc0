"""One port of the host: each connection to it is joined with one to the far side."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Callable
from typing import Any

from provision.errors import LabError
from provision.relay.pump import Stream, join

# Connections to one port at a time; each takes two threads.
MOST = 256


class Listener(socketserver.ThreadingTCPServer):
    """Listens on a port; raises OSError where it cannot."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: str, port: int, far: Callable[[], Stream]) -> None:
        self.far = far
        self._free = threading.BoundedSemaphore(MOST)
        super().__init__((address, port), _Handler)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Return whether there is room for one more; without, it is closed at once."""
        return self._free.acquire(blocking=False)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: whoever connected sees that the connection ended."""


class _Handler(socketserver.BaseRequestHandler):
    server: Listener
    request: socket.socket

    def handle(self) -> None:
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        # A lab that is off, or a Service that is not there, ends the connection.
        with contextlib.suppress(OSError, EOFError, LabError):
            join(self.request, self.server.far())
