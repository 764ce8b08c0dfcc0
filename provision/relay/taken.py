"""Ports of the host that somebody else has, or that this user may not have."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from pathlib import Path

from provision.config.ports import EVERY, LOOPBACK, PortConfig
from provision.relay.record import living


def not_to_be_had(ports: Sequence[PortConfig], file: Path) -> list[tuple[str, str]]:
    """Return key and message for each port that cannot be listened on.

    What the relay has that `file` records is the lab's own.
    """
    record = living(file)
    own = {way.host for way in record.plan.ways} if record is not None else set()
    problems = []
    for number, port in enumerate(ports):
        if port.host not in own and (error := _failure(port)) is not None:
            key, message = _told(port, error)
            problems.append((f"ports.{number}.{key}", message))
    return problems


def _failure(port: PortConfig) -> OSError | None:
    with socket.socket() as probe:
        # What others closed a moment ago does not count, as for the relay.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((port.address, port.host))
            probe.listen(1)
        except OSError as error:
            return error
    return None


def _told(port: PortConfig, error: OSError) -> tuple[str, str]:
    if error.errno == errno.EADDRNOTAVAIL:
        return (
            "address",
            f"this host has no {port.address}; allowed: an address it has, {LOOPBACK} or {EVERY}",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return "host", f"{port.host} is for root alone on this host; allowed: 1024 to 65535"
    if error.errno == errno.EADDRINUSE:
        return "host", f"{port.host} is in use on this host; allowed: a free one (ss -ltnp shows the others)"
    return "host", f"{port.host} cannot be listened on: {error.strerror}; allowed: another port"
