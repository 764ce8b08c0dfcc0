"""Ids of machines that a test can tell from the machines' names."""

from __future__ import annotations

import uuid


def id_of(name: str) -> str:
    """Return the id of the machine called `name`, always the same."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, name))
