"""What a relay is told: where it listens, and where each port leads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Port = Annotated[int, Field(ge=1, le=65535)]


class Gate(BaseModel):
    """A node by which Services are reached: the address of its SSH server, and the lab's keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    node: str
    host: str
    port: Port
    user: str
    key_file: Path
    known_hosts: Path


class Way(BaseModel):
    """A port of the host, and where it leads: to `port` of the address `node`, or of `service`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str
    host: Port
    port: Port
    node: str = ""
    service: str = ""
    text: str


class Plan(BaseModel):
    """All that a relay does; `seconds` is how long a node may take to answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ways: tuple[Way, ...]
    gate: Gate
    seconds: float
