"""A forward proxy on loopback that notes what it is asked for."""

from __future__ import annotations

import base64
import contextlib
import select
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass
class Proxy:
    """`asked` is "METHOD TARGET" of every request. With `login` ("name:password") all others get 407."""

    port: int
    login: str = ""
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Return the address as a client is told it."""
        return f"http://{self.login}{'@' if self.login else ''}127.0.0.1:{self.port}"


class _Handler(BaseHTTPRequestHandler):
    proxy: Proxy

    def do_GET(self) -> None:
        if not self._may():
            return
        try:
            with _direct.open(self.path, timeout=10) as answer:
                status, body = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, body = error.code, error.read()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_CONNECT(self) -> None:
        if not self._may():
            return
        host, _, port = self.path.rpartition(":")
        try:
            there = socket.create_connection((host, int(port)), timeout=10)
        except OSError:
            self.send_error(502)
            return
        with there:
            self.send_response(200)
            self.end_headers()
            self._carry(there)

    def _may(self) -> bool:
        self.proxy.asked.append(f"{self.command} {self.path}")
        expected = f"Basic {base64.b64encode(self.proxy.login.encode()).decode()}"
        if self.proxy.login and self.headers.get("Proxy-Authorization") != expected:
            self.send_response(407)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return False
        return True

    def _carry(self, there: socket.socket) -> None:
        pairs = {self.connection: there, there: self.connection}
        with contextlib.suppress(OSError):
            while True:
                for end in select.select(list(pairs), [], [])[0]:
                    data = end.recv(1 << 16)
                    if not data:
                        return
                    pairs[end].sendall(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: `asked` has it."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that went away."""


@contextmanager
def proxying(login: str = "") -> Iterator[Proxy]:
    """Give a proxy that works until the end."""
    handler = type("Handler", (_Handler,), {})
    server = _Server(("127.0.0.1", 0), handler)
    proxy = Proxy(server.server_address[1], login)
    handler.proxy = proxy  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
