"""An SSH server in this process: what a node's sshd is to kubelab, with its commands run here by `sh`."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Self

import paramiko
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from provision.relay.pump import join
from provision.ssh.runner import Endpoint

CHUNK = 32768


def new_key(file: Path) -> paramiko.Ed25519Key:
    """Write a fresh private key to `file` and return it."""
    private = Ed25519PrivateKey.generate()
    file.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    file.chmod(0o600)
    return paramiko.Ed25519Key.from_private_key_file(str(file))


class SshServer:
    """Listens on a loopback address; a context manager that ends all of it.

    `rewrite` changes a command line before it runs. `stuck` makes the server take a command and never
    answer. `reluctance` is how many seconds it takes a connection before it speaks. `drop` breaks every
    connection. `connections` counts those that logged in. `inside` are the addresses that it reaches, and
    the port on loopback that stands for each.
    """

    def __init__(self, folder: Path, host: str = "127.0.0.1", port: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.host_key = new_key(folder / "host_key")
        self.client_file = folder / "client_key"
        self.client_key = new_key(self.client_file)
        self.rewrite: Callable[[str], str] = lambda line: line
        self.stuck = threading.Event()
        self.reluctance = 0.0
        self.connections = 0
        self.inside: dict[tuple[str, int], int] = {}
        self.closing = threading.Event()
        self._transports: list[paramiko.Transport] = []
        self._programs: list[subprocess.Popen[bytes]] = []
        self._threads: list[threading.Thread] = []
        self._socket = socket.create_server((host, port))
        self._socket.settimeout(0.05)
        self.host, self.port = self._socket.getsockname()
        self.start(self._accept)

    @property
    def known_hosts(self) -> Path:
        """Return a file with this server's key."""
        file = self.folder / "known_hosts"
        self.write_known_hosts(file, self.host_key)
        return file

    def write_known_hosts(self, file: Path, key: paramiko.PKey) -> None:
        """Write `key` down as this server's."""
        file.write_text(f"[{self.host}]:{self.port} {key.get_name()} {key.get_base64()} lab-cp1=id\n")

    def endpoint(self, *, known_hosts: Path | None = None, pin: bool = False) -> Endpoint:
        """Return how to reach this server."""
        known = known_hosts or self.known_hosts
        return Endpoint("lab-cp1", self.host, self.port, "vagrant", self.client_file, known, pin)

    def drop(self) -> None:
        """Break every connection, as a node does that loses its power."""
        for transport in self._transports:
            transport.close()

    def start(self, work: Callable[[], None]) -> None:
        """Run `work` in a thread of this server."""
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()

    def execute(self, channel: paramiko.Channel, line: str) -> None:
        """Run a command line for `channel`, as root is taken to be already."""
        program = subprocess.Popen(
            ["sh", "-c", self.rewrite(line).removeprefix("sudo -n ")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._programs.append(program)
        assert program.stdin and program.stdout and program.stderr
        stdin, stdout, stderr = program.stdin, program.stdout, program.stderr
        self.start(lambda: _read_channel(channel, stdin))
        pumps = [
            threading.Thread(target=_write_channel, args=(stdout, channel.sendall), daemon=True),
            threading.Thread(target=_write_channel, args=(stderr, channel.sendall_stderr), daemon=True),
        ]
        for pump in pumps:
            pump.start()
        for pump in pumps:
            pump.join()
        with contextlib.suppress(OSError, EOFError):
            channel.shutdown_write()
        code = program.wait()
        with contextlib.suppress(OSError, EOFError):
            if code >= 0:
                channel.send_exit_status(code)
            channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.closing.set()
        self._socket.close()
        self.drop()
        for program in self._programs:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)
            program.wait()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while not self.closing.is_set():
            try:
                connection, _ = self._socket.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            connection.settimeout(None)
            self.closing.wait(self.reluctance)
            transport = paramiko.Transport(connection)
            transport.add_server_key(self.host_key)
            self._transports.append(transport)
            with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
                transport.start_server(event=threading.Event(), server=_Session(self, transport))


class _Session(paramiko.ServerInterface):
    def __init__(self, server: SshServer, transport: paramiko.Transport) -> None:
        self.server, self.transport = server, transport

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        if username != "vagrant" or key != self.server.client_key:
            return paramiko.AUTH_FAILED
        self.server.connections += 1
        return paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_direct_tcpip_request(
        self, chanid: int, origin: tuple[str, int], destination: tuple[str, int]
    ) -> int:
        port = self.server.inside.get(destination)
        if port is None:
            return paramiko.OPEN_FAILED_CONNECT_FAILED
        self.server.start(lambda: self.forward(chanid, port))
        return paramiko.OPEN_SUCCEEDED

    def forward(self, chanid: int, port: int) -> None:
        """Lead the channel of that number to a port on loopback."""
        while (channel := self.transport.accept(10)) is not None:
            if channel.get_id() == chanid:
                join(channel, socket.create_connection(("127.0.0.1", port), 10))
                return

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        if self.server.stuck.is_set():
            self.server.closing.wait(10)
        self.server.start(lambda: self.server.execute(channel, command.decode()))
        return True


def _chunks(read: Callable[[int], bytes]) -> Iterator[bytes]:
    with contextlib.suppress(OSError, EOFError, ValueError):
        while data := read(CHUNK):
            yield data


def _read_channel(channel: paramiko.Channel, stdin: IO[bytes]) -> None:
    with contextlib.suppress(OSError), stdin:
        for data in _chunks(channel.recv):
            stdin.write(data)
            stdin.flush()


def _write_channel(stream: IO[bytes], send: Callable[[bytes], None]) -> None:
    with stream:
        # A reader that is gone must not stop the program: it is read to its end.
        gone = False
        for data in _chunks(stream.read1):  # type: ignore[attr-defined]
            if not gone:
                try:
                    send(data)
                except (OSError, EOFError):
                    gone = True
