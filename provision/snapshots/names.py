"""What may name a snapshot or a machine, wherever the name comes from."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

from provision.errors import ConfigError
from provision.providers.machine_id import is_machine_id

LONGEST = 63
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


def is_name(name: str) -> bool:
    """Return whether `name` may name a snapshot."""
    return len(name) <= LONGEST and _NAME.fullmatch(name) is not None


def check_name(name: str) -> str:
    """Return `name` if it may name a snapshot; raises ConfigError."""
    if not is_name(name):
        raise ConfigError(
            f"`{name[:LONGEST]}` is not a valid name for a snapshot",
            key="NAME",
            hint=f"allowed: 1 to {LONGEST} of a-z, 0-9 and `-`, with a letter or digit at both ends",
        )
    return name


def _snapshot(name: str) -> str:
    if not is_name(name):
        raise ValueError("is not the name of a snapshot")
    return name


def _machine(text: str) -> str:
    if not is_machine_id(text):
        raise ValueError("is not the id of a machine")
    return text


# A name becomes a part of a path, and an id a part of a command of the hypervisor.
SnapshotName = Annotated[str, AfterValidator(_snapshot)]
MachineId = Annotated[str, AfterValidator(_machine)]
