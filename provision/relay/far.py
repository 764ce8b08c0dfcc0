"""The far side of a port: a node, reached as it is, or a Service, reached by a node."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Callable

from provision.errors import ConnectFailed
from provision.relay.plan import Gate, Way
from provision.relay.pump import Stream
from provision.ssh.runner import Endpoint, ParamikoRunner

# As the cluster's administrator; a node has it in this place.
KUBECTL = ("kubectl", "--kubeconfig=/etc/kubernetes/admin.conf")
# A Service that is made anew has another address.
KNOWN_SECONDS = 30.0


class Service:
    """A Service at its cluster IP, which only nodes reach; each has an SSH connection of its own.

    One that does not answer then breaks no connection to another.
    """

    def __init__(self, name: str, port: int, runner: ParamikoRunner) -> None:
        self._namespace, _, self._name = name.partition("/")
        self._port, self._runner = port, runner
        self._lock = threading.Lock()
        self._address, self._until = "", 0.0

    def open(self) -> Stream:
        """Return a connection to it; raises LabError."""
        address = self._known()
        try:
            return self._runner.open_tcp(address, self._port)
        except ConnectFailed:
            self._until = 0.0
            raise

    def _known(self) -> str:
        with self._lock:
            if time.monotonic() >= self._until:
                self._address = self._ask()
                self._until = time.monotonic() + KNOWN_SECONDS
            return self._address

    def _ask(self) -> str:
        path = "jsonpath={.spec.clusterIP}"
        words = (*KUBECTL, "get", "service", f"--namespace={self._namespace}", f"--output={path}", self._name)
        said = self._runner.run(words, deadline=self._runner.timeout, what="look for the Service").stdout
        try:
            return str(ipaddress.ip_address(said.strip()))
        except ValueError:
            raise ConnectFailed(
                self._runner.node, f"the Service {self._namespace}/{self._name} has no cluster IP"
            ) from None


def opener(way: Way, gate: Gate, seconds: float) -> Callable[[], Stream]:
    """Return what connects to the far side of a port, each time it is called.

    That raises OSError or LabError where it does not answer within `seconds`.
    """
    if not way.service:
        return lambda: _node(way.node, way.port, seconds)
    point = Endpoint(gate.node, gate.host, gate.port, gate.user, gate.key_file, gate.known_hosts)
    return Service(way.service, way.port, ParamikoRunner(point, timeout=seconds)).open


def _node(address: str, port: int, seconds: float) -> socket.socket:
    found = socket.create_connection((address, port), seconds)
    found.settimeout(None)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return found
