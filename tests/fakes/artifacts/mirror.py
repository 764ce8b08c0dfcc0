"""A web server on loopback laid out as the release sites are, which can be told to misbehave."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import io
import ipaddress
import ssl
import tarfile
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from provision.artifacts.release.crictl import crictl_url
from provision.artifacts.release.origin import CNI_PROGRAMS, cni_url
from provision.artifacts.sites import KUBERNETES

Fault = Callable[["_Handler", bytes], None]


@dataclass
class Mirror:
    """`files` is path -> content; `faults` path -> what is done instead, one a request, then all is well.

    `asked` is path and headers of every request. With `login` ("name:password") all others get 401.
    """

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, list[Fault]] = field(default_factory=lambda: defaultdict(list))
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    login: str = ""
    closing: threading.Event = field(default_factory=threading.Event)

    def put(self, public: str, content: bytes, *, checked: bool = True) -> str:
        """Serve what lies at the URL `public`, with its checksum beside it; return its path here."""
        path = f"/{public.partition('://')[2]}"
        self.files[path] = content
        if checked:
            digest = hashlib.sha256(content).hexdigest()
            self.files[f"{path}.sha256"] = f"{digest}  {path.rpartition('/')[2]}\n".encode()
        return path

    def paths(self) -> list[str]:
        """Return the path of every request so far."""
        return [path for path, _ in self.asked]

    def release(
        self,
        version: str,
        programs: dict[str, bytes],
        cni: dict[str, bytes] | None = None,
        crictl: bytes | None = None,
    ) -> None:
        """Serve a version of Kubernetes, which becomes the newest of its minor, and the CNI plugins.

        With `crictl` there is that program for it, too.
        """
        cni = cni or {name: f"plugin {name}\n".encode() for name in CNI_PROGRAMS}
        for name, content in programs.items():
            self.put(f"{KUBERNETES}/v{version}/bin/linux/amd64/{name}", content)
        self.put(
            f"{KUBERNETES}/stable-{version.rpartition('.')[0]}.txt", f"v{version}".encode(), checked=False
        )
        self.put(cni_url(), packed({**cni, "vlan": b"not for us"}))
        if crictl is not None:
            self.put(crictl_url(version), packed({"crictl": crictl}))


def packed(programs: dict[str, bytes]) -> bytes:
    """Return an archive of programs, as the CNI plugins and crictl are published."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in programs.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size, info.mode = len(content), 0o755
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def cut(after: int) -> Fault:
    """Return the fault of a server that goes away after so many bytes."""

    def fault(handler: _Handler, body: bytes) -> None:
        handler.give(body, stop=after)

    return fault


def wrong_byte(handler: _Handler, body: bytes) -> None:
    """Serve something else than what was published."""
    handler.give(bytes([body[0] ^ 1]) + body[1:])


def hang(handler: _Handler, body: bytes) -> None:
    """Say nothing until the server is closed."""
    handler.mirror.closing.wait()


def answer(status: int, **headers: str) -> Fault:
    """Return the fault of a server that refuses; a header's `_` is a dash."""

    def fault(handler: _Handler, body: bytes) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return fault


class _Handler(BaseHTTPRequestHandler):
    mirror: Mirror

    def do_GET(self) -> None:
        mirror = self.mirror
        mirror.asked.append((self.path, dict(self.headers)))
        expected = f"Basic {base64.b64encode(mirror.login.encode()).decode()}"
        body = mirror.files.get(self.path)
        if mirror.login and self.headers.get("Authorization") != expected:
            answer(401, WWW_Authenticate='Basic realm="mirror"')(self, b"")
        elif mirror.faults[self.path]:
            mirror.faults[self.path].pop(0)(self, body or b"")
        elif body is None:
            answer(404)(self, b"")
        else:
            self.give(body)

    def give(self, body: bytes, *, stop: int | None = None) -> None:
        """Send the part that is asked for, up to the byte `stop` of it."""
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        if start >= len(body) > 0:
            answer(416)(self, b"")
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.wfile.write(body[start:][:stop])

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: `asked` has it."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that went away."""


@contextmanager
def serving(tls: tuple[Path, Path] | None = None) -> Iterator[Mirror]:
    """Give a server, with TLS if files with a certificate and its key are given."""
    handler = type("Handler", (_Handler,), {})
    server = _Server(("127.0.0.1", 0), handler)
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        # Not in the one thread that accepts: a client that refuses the certificate must not end it.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    scheme = "https" if tls else "http"
    mirror = Mirror(f"{scheme}://127.0.0.1:{server.server_address[1]}")
    handler.mirror = mirror  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield mirror
    finally:
        mirror.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


def certificates(folder: Path, *, expired: bool = False) -> tuple[Path, tuple[Path, Path]]:
    """Write an authority of our own and a certificate of it for this host; return (ca, (cert, key))."""
    now = dt.datetime.now(dt.UTC)
    end = now + dt.timedelta(hours=-1 if expired else 1)
    authority, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubelab test authority")])

    def certificate(name: x509.Name, key: ec.EllipticCurvePrivateKey, *, is_ca: bool) -> x509.Certificate:
        address = x509.SubjectAlternativeName(
            [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
        )
        builder = (
            x509.CertificateBuilder(issuer, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=2))
            .not_valid_after(now + dt.timedelta(hours=1) if is_ca else end)
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        )
        if not is_ca:
            builder = builder.add_extension(address, critical=False)
        return builder.sign(authority, hashes.SHA256())

    ca, cert, key = (folder / name for name in ("ca.pem", "server.pem", "server.key"))
    ca.write_bytes(certificate(issuer, authority, is_ca=True).public_bytes(Encoding.PEM))
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    cert.write_bytes(certificate(subject, own, is_ca=False).public_bytes(Encoding.PEM))
    key.write_bytes(own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return ca, (cert, key)
