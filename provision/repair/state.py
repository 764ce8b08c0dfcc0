"""What a node said of itself, parsed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from provision.node.certificates import certificates
from provision.node.clock import Offset
from provision.node.sections import sections
from provision.node.tokens import PodToken, tokens

UNITS = ("containerd", "kubelet", "lab-network", "lab-clock")


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
