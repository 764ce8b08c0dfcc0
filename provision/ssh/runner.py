"""SSH to one node; with channel.py the only place that uses paramiko."""

from __future__ import annotations

import contextlib
import logging
import shlex
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from paramiko.hostkeys import InvalidHostKey
from paramiko.pkey import UnknownKeyType

from provision.errors import Cancelled, CommandFailed, ConnectFailed, LabError, Result
from provision.ssh.channel import BROKEN, Exchange
from provision.ssh.shell import RootShell

SHELL = ("/bin/sh", "-eu")
# For the TCP connection only: a running machine accepts it at once, however slow its sshd is.
TCP_SECONDS = 10.0
# Its thread logs a traceback of what the caller gets as an error; unheard, Python would print it.
logging.getLogger("paramiko").addHandler(logging.NullHandler())
# What paramiko and cryptography raise of a key file that is not whole.
DAMAGED_KEY = (
    ValueError,
    TypeError,
    IndexError,
    AssertionError,
    UnsupportedAlgorithm,
    UnknownKeyType,
    paramiko.SSHException,
)
NEW_KEY = "put that file back; without it: kubelab destroy, then kubelab up"


@dataclass(frozen=True)
class Endpoint:
    """The address of a node's SSH server, and the keys to log in and to identify it.

    `known_hosts` has the host key that was recorded when the VM was created; with `pin` the key of the
    first connection is accepted, for the caller to record it.
    """

    node: str
    host: str
    port: int
    user: str
    key_file: Path
    known_hosts: Path
    pin: bool = False


@dataclass
class ParamikoRunner:
    """A Runner over one SSH connection, opened at first use and again after it broke.

    `timeout` (seconds) limits each part of connecting. `cancel` ends every running command.
    """

    endpoint: Endpoint
    timeout: float = 60.0
    cancel: threading.Event = field(default_factory=threading.Event)
    _client: paramiko.SSHClient | None = None
    # The key of the first connection: while none is recorded, no other one is accepted.
    _first_key: paramiko.PKey | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def node(self) -> str:
        return self.endpoint.node

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
        """Run an argv or a script on the node (see Runner)."""
        argv, payload, label = _prepare(command, sudo, stdin)
        result = self._execute(shlex.join(argv), payload, deadline, what or label)
        if check and not result.ok:
            raise CommandFailed(self.node, what or label, result)
        return result

    def put(self, content: str | bytes, path: str, *, mode: int = 0o644) -> None:
        """Write a file as root: complete or not at all."""
        payload = content.encode() if isinstance(content, str) else content
        quoted = shlex.quote(path)
        # The size is checked, because a broken connection ends the input early, like its regular end.
        script = (
            f'mkdir -p -- "$(dirname -- {quoted})"; umask 077; cat > {quoted}.new; '
            f'test "$(wc -c < {quoted}.new)" -eq {len(payload)}; '
            f"chmod {mode:o} {quoted}.new; mv -f {quoted}.new {quoted}"
        )
        argv = ["sudo", "-n", "sh", "-euc", script]
        result = self._execute(shlex.join(argv), payload, self.timeout, f"write {path}")
        if not result.ok:
            raise CommandFailed(self.node, f"write {path}", result)

    def get(self, path: str) -> bytes:
        """Return a file's bytes."""
        argv = ["sudo", "-n", "cat", "--", path]
        stdout, stderr, code = self._exchange(shlex.join(argv), b"", self.timeout, f"read {path}")
        if code != 0:
            result = Result(stdout.decode(errors="replace"), stderr.decode(errors="replace"), code)
            raise CommandFailed(self.node, f"read {path}", result)
        return stdout

    def shell(self) -> RootShell:
        """Return a persistent root shell for many small commands: each costs one round trip and no sudo."""
        return RootShell(self)

    def open_channel(self) -> paramiko.Channel:
        """Return a new channel, over the existing connection or a new one; raises ConnectFailed."""
        return self._open(lambda transport: transport.open_session(timeout=self.timeout))

    def open_tcp(self, address: str, port: int) -> paramiko.Channel:
        """Return a TCP connection that the node makes; raises ConnectFailed."""
        return self._open(
            lambda transport: transport.open_channel(
                "direct-tcpip", (address, port), ("127.0.0.1", 0), timeout=self.timeout
            )
        )

    def _open(self, make: Callable[[paramiko.Transport], paramiko.Channel]) -> paramiko.Channel:
        for attempt in (1, 2):
            transport = self._connected().get_transport()
            try:
                if transport is None:
                    raise paramiko.SSHException("no transport")
                return make(transport)
            except paramiko.ChannelException as error:
                # The connection is well, and other channels are on it.
                raise ConnectFailed(self.node, f"it refused: {error.text}") from error
            except BROKEN as error:
                self.close()
                if attempt == 2:  # noqa: PLR2004 - the second try is the last
                    raise ConnectFailed(self.node, f"no SSH session: {error}") from error
        raise AssertionError

    def host_key(self) -> tuple[str, str]:
        """Return the type and the base64 text of the server's host key, the same for all connections."""
        key = self._first_key
        if key is None:
            key = _server_key(self._connected())
        return key.get_name(), key.get_base64()

    def trust_recorded_key(self) -> None:
        """Accept only the recorded host key from now on; the existing connection stays open."""
        self.endpoint = replace(self.endpoint, pin=False)

    def close(self) -> None:
        """End the connection; the next command makes a new one."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _execute(self, line: str, stdin: bytes, deadline: float, what: str) -> Result:
        stdout, stderr, code = self._exchange(line, stdin, deadline, what)
        return Result(stdout.decode(errors="replace"), stderr.decode(errors="replace"), code)

    def _exchange(self, line: str, stdin: bytes, deadline: float, what: str) -> tuple[bytes, bytes, int]:
        exchange = Exchange(self.node, what, time.monotonic() + deadline, deadline, self.cancel)
        channel = self.open_channel()
        with contextlib.closing(channel):
            try:
                return exchange.run(channel, line, stdin)
            except BROKEN as error:
                self.close()
                raise ConnectFailed(
                    self.node, f"the SSH connection broke during `{what}`: {error}"
                ) from error

    def _connected(self) -> paramiko.SSHClient:
        with self._lock:
            if self._client is not None:
                transport = self._client.get_transport()
                if transport is not None and transport.is_active():
                    return self._client
                self._client.close()
            self._client = self._connect()
            return self._client

    def _connect(self) -> paramiko.SSHClient:
        point = self.endpoint
        if self.cancel.is_set():
            raise Cancelled(f"{self.node}: cancelled")
        if not point.pin and not point.known_hosts.is_file():
            raise ConnectFailed(self.node, "its host key is not recorded yet", hint="kubelab up")
        client = paramiko.SSHClient()
        if point.pin:
            client.set_missing_host_key_policy(_AcceptFirstKey(self._first_key))
        else:
            _load_host_keys(client, point.known_hosts)
            client.set_missing_host_key_policy(paramiko.RejectPolicy())
        key = _private_key(point.key_file)
        began = time.monotonic()
        try:
            client.connect(
                point.host,
                point.port,
                point.user,
                pkey=key,
                allow_agent=False,
                look_for_keys=False,
                # paramiko's own connection would give the key exchange no longer than TCP gets.
                sock=socket.create_connection((point.host, point.port), min(self.timeout, TCP_SECONDS)),
                timeout=self.timeout,
                banner_timeout=self.timeout,
                auth_timeout=self.timeout,
                channel_timeout=self.timeout,
            )
        except paramiko.BadHostKeyException as error:
            client.close()
            known = "seen a moment ago" if point.pin else "recorded"
            raise ConnectFailed(
                self.node,
                f"the machine at {point.host} has another host key than the one {known} for this node",
                hint="another machine may have the node's address; `kubelab destroy`, then `kubelab up`",
            ) from error
        except BROKEN as error:
            client.close()
            late = time.monotonic() - began >= self.timeout
            reason = f"no answer within {self.timeout:g} s" if late else str(error)
            raise ConnectFailed(
                self.node, f"no SSH connection to {point.host}:{point.port}: {reason}", hint="kubelab status"
            ) from error
        if self._first_key is None:
            self._first_key = _server_key(client)
        return client


class _AcceptFirstKey(paramiko.MissingHostKeyPolicy):
    """Accept any key at first contact: the caller checks the machine's id, then records the key.

    The connection that proved the id may have ended: a later one has to show the same key.
    """

    def __init__(self, first: paramiko.PKey | None) -> None:
        self._first = first

    def missing_host_key(self, client: object, hostname: str, key: paramiko.PKey) -> None:
        if self._first is not None and key != self._first:
            raise paramiko.BadHostKeyException(hostname, key, self._first)


def _server_key(client: paramiko.SSHClient) -> paramiko.PKey:
    transport = client.get_transport()
    assert transport is not None
    return transport.get_remote_server_key()


def _load_host_keys(client: paramiko.SSHClient, file: Path) -> None:
    try:
        client.load_host_keys(str(file))
    except (InvalidHostKey, ValueError, paramiko.SSHException) as error:
        raise LabError(f"{file} is damaged: {error}", hint="remove that file, then: kubelab up") from error


def _private_key(file: Path) -> paramiko.PKey:
    """Return the lab's key; paramiko's own search for one ends with what it last could not read."""
    try:
        return paramiko.PKey.from_path(file)
    except OSError as error:
        raise LabError(
            f"{file}, the lab's SSH key, cannot be read: {error.strerror}", hint=NEW_KEY
        ) from error
    except (
        ValueError,
        TypeError,
        IndexError,
        UnsupportedAlgorithm,
        paramiko.SSHException,
        UnknownKeyType,
    ) as error:
        raise LabError(f"{file}, the lab's SSH key, is damaged: {error}", hint=NEW_KEY) from error


def _prepare(command: str | Sequence[str], sudo: bool, stdin: str) -> tuple[list[str], bytes, str]:
    """Return the argv to run, its standard input, and a short label for errors."""
    if isinstance(command, str):
        first = next((line for line in command.splitlines() if line.strip()), "")
        # As a function it is read completely before it runs, so no command can read the rest as its input.
        script = f"main() {{\n{command}\n}}\nmain </dev/null\n"
        argv, payload, label = [*SHELL], script.encode(), first.strip()[:60]
    else:
        argv, payload, label = list(command), stdin.encode(), " ".join(command)[:60]
    return (["sudo", "-n", *argv] if sudo else argv), payload, label
