"""The id of a machine: the UUID by which the hypervisor and Vagrant both know it."""

from __future__ import annotations

import re

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def is_machine_id(text: str) -> bool:
    """Return whether `text` has the form of a machine's id, and so can be a part of a command."""
    return _UUID.fullmatch(text) is not None
