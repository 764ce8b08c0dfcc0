"""The key `ports` of a lab.yaml: ports of the host that lead to a node or a Service."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

from provision.config import values

LOOPBACK, EVERY = "127.0.0.1", "0.0.0.0"
MOST = 64
FORMS = "{host: 8080, node: NAME, port: 30080} or {host: 8443, service: NAMESPACE/NAME, port: 443}"
SERVICE = "NAMESPACE/NAME, such as default/web"
# What Kubernetes allows for each of the two.
_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_SERVICE = re.compile(f"{_LABEL}/{_LABEL}")


def _address(value: object) -> str:
    try:
        # As a number, one address could be written in many ways.
        return str(IPv4Address(value if isinstance(value, str) else ""))
    except ValueError:
        raise values.refusal(
            value, f"an IPv4 address of this host, {LOOPBACK}, or {EVERY} for all of them"
        ) from None


def _service(value: object) -> str:
    if not isinstance(value, str) or not _SERVICE.fullmatch(value):
        raise values.refusal(value, SERVICE)
    return value


def _node(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise values.refusal(value, "the name of a node")
    return value


def _list(value: object) -> object:
    if isinstance(value, tuple):
        return value
    if not isinstance(value, list):
        raise values.refusal(value, f"a list of {FORMS}")
    if len(value) > MOST:
        raise ValueError(f"{len(value)} are too many; allowed: up to {MOST}")
    return value


class PortConfig(BaseModel):
    """A TCP port of the host, and where it leads: to a port of `node`, or of `service` (NAMESPACE/NAME)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: Annotated[int, values.port()]
    port: Annotated[int, values.port()]
    node: Annotated[str, BeforeValidator(_node)] = ""
    service: Annotated[str, BeforeValidator(_service)] = ""
    address: Annotated[str, BeforeValidator(_address)] = LOOPBACK

    @property
    def text(self) -> str:
        """Return it in words: "127.0.0.1:8080 -> lab-w1:30080"."""
        return f"{self.address}:{self.host} -> {self.node or self.service}:{self.port}"

    @model_validator(mode="before")
    @classmethod
    def _is_whole(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        problems = [(key, f"is missing; allowed: {FORMS}") for key in ("host", "port") if key not in value]
        if ("node" in value) == ("service" in value):
            word = "stands beside service" if "node" in value else "is missing, and so is service"
            problems.append(("node", f"{word}; allowed: {FORMS}"))
        if problems:
            raise values.Problems(problems)
        return value

    def clashes(self, other: PortConfig) -> bool:
        """Return whether only one of the two can have its port."""
        same = self.address == other.address or EVERY in (self.address, other.address)
        return self.host == other.host and same


Ports = Annotated[tuple[PortConfig, ...], BeforeValidator(_list)]


def wrong_ports(ports: Sequence[PortConfig], nodes: Sequence[str]) -> list[tuple[str, str]]:
    """Return key and message for every port of the host that is there twice, or leads to no node."""
    problems = []
    for number, port in enumerate(ports):
        if port.node and port.node not in nodes:
            problems.append(
                (
                    f"ports.{number}.node",
                    f"{values.show(port.node)} is no node of this lab; allowed: {', '.join(nodes)}",
                )
            )
        if any(port.clashes(other) for other in ports[:number]):
            problems.append(
                (f"ports.{number}.host", f"{port.host} is taken above; allowed: a port that is not")
            )
    return problems
