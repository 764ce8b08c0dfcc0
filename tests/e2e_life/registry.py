"""A registry on this host with one tiny image, `tiny:1`."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

OCI = "application/vnd.oci.image"


@contextmanager
def tiny_registry(address: str) -> Iterator[str]:
    """Serve it by HTTP on a free port of `address`; yield HOST:PORT."""
    server = ThreadingHTTPServer((address, 0), handler(tiny_image()))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"{address}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def tiny_image() -> dict[str, tuple[str, bytes]]:
    """Return tag or digest -> media type and content, of the manifest and what it names."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("tiny"))
    rootfs = {"type": "layers", "diff_ids": [digest(layer.getvalue())]}
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}).encode()
    parts = {
        f"{OCI}.config.v1+json": config,
        f"{OCI}.layer.v1.tar+gzip": gzip.compress(layer.getvalue(), mtime=0),
    }
    described, packed = (
        {"mediaType": kind, "digest": digest(content), "size": len(content)}
        for kind, content in parts.items()
    )
    kind = f"{OCI}.manifest.v1+json"
    manifest = json.dumps({"schemaVersion": 2, "mediaType": kind, "config": described, "layers": [packed]})
    served = {digest(content): (name, content) for name, content in parts.items()}
    whole = (kind, manifest.encode())
    return {**served, digest(whole[1]): whole, "1": whole}


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def handler(served: dict[str, tuple[str, bytes]]) -> type[BaseHTTPRequestHandler]:
    """Return what answers a registry's questions about the image."""

    class Handler(BaseHTTPRequestHandler):
        # A client that speaks TLS must not be waited for.
        timeout = 10

        def do_GET(self) -> None:
            self.wfile.write(self.head())

        def do_HEAD(self) -> None:
            self.head()

        def head(self) -> bytes:
            """Send the head of the answer; return its body."""
            path = urlsplit(self.path).path
            found = served.get(path.rpartition("/")[2]) if path.startswith("/v2/tiny/") else None
            kind, content = found or ("text/plain", b"")
            self.send_response(HTTPStatus.OK if found or path == "/v2/" else HTTPStatus.NOT_FOUND)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Docker-Content-Digest", digest(content))
            self.end_headers()
            return content

    return Handler
