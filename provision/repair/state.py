"""What a node said of itself, parsed."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryptography import x509

from provision.node.clock import Offset

UNITS = ("containerd", "kubelet", "lab-network", "lab-clock")


@dataclass(frozen=True)
class PodToken:
    """Whose token lies in a pod's folder, and until when it is good (seconds since the epoch)."""

    namespace: str
    pod: str
    uid: str
    expires: float


@dataclass(frozen=True)
class NodeState:
    """What one node said. `certificates` maps a file to the end of what it holds.

    `clock` is how far the node's clock is from the host's, `rtc_behind` how many seconds its hardware clock
    is behind, which counts whole ones.
    """

    clock: Offset
    rtc_behind: float | None
    units: Mapping[str, str]
    has_keeper: bool
    healthy: bool
    routes: tuple[str, ...]
    tables: frozenset[str]
    certificates: Mapping[str, dt.datetime]
    tokens: tuple[PodToken, ...]


def parse_state(text: str, now: float, clock: Offset) -> NodeState:
    """Return the state that a survey's output describes, given the host's time when it had arrived."""
    parts = sections(text)
    return NodeState(
        clock=clock,
        rtc_behind=now - int(parts["rtc"][0]) if parts["rtc"] else None,
        units=dict(zip(UNITS, parts["units"], strict=False)),
        has_keeper=bool(parts["keeper"]),
        healthy=any(" 200 " in line for line in parts["healthz"]),
        routes=tuple(parts["routes"]),
        tables=frozenset(line.removeprefix("table ").strip() for line in parts["tables"]),
        certificates=certificates(parts["certificates"]),
        tokens=tokens(parts["tokens"]),
    )


def certificate_end(pem: str) -> dt.datetime:
    """Return when the first of the certificates in `pem` to end does so."""
    found = x509.load_pem_x509_certificates(pem.encode())
    return min(certificate.not_valid_after_utc for certificate in found)


def sections(text: str) -> dict[str, list[str]]:
    """Return the lines of each part of an output whose parts begin with `== NAME`."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("== "):
            lines = found[line[3:]] = []
        elif line.strip():
            lines.append(line)
    return found


def certificates(lines: Sequence[str]) -> dict[str, dt.datetime]:
    """Return when the certificates in a survey end, by file; raises ValueError, which names the file."""
    texts: dict[str, str] = {}
    path = ""
    try:
        for line in lines:
            if line.startswith("-- "):
                path = line[3:]
            elif line.startswith("data "):
                texts[path] = texts.get(path, "") + base64.b64decode(line[5:]).decode()
            else:
                texts[path] = texts.get(path, "") + line + "\n"
        found = {}
        # A kubeconfig may name a file instead of holding a certificate.
        for path, text in texts.items():
            found[path] = certificate_end(text)
    except ValueError as error:
        raise ValueError(f"{path} holds no certificate that can be read: {error}") from error
    return found


def tokens(lines: Sequence[str]) -> tuple[PodToken, ...]:
    """Return whose tokens a survey shows."""
    return tuple(token for line in lines if (token := _token(line)))


def _token(line: str) -> PodToken | None:
    try:
        claims = json.loads(base64.urlsafe_b64decode(line + "=" * (-len(line) % 4)))
        bound = claims["kubernetes.io"]
        return PodToken(bound["namespace"], bound["pod"]["name"], bound["pod"]["uid"], float(claims["exp"]))
    except (binascii.Error, ValueError, KeyError, TypeError, OverflowError):
        # A file caught while the kubelet replaced it.
        return None
