"""The bridges of this host."""

from __future__ import annotations

from pathlib import Path

LINKS = Path("/sys/class/net")


def bridges() -> list[str]:
    """Return the names of the kernel's bridges."""
    return sorted(folder.parent.name for folder in LINKS.glob("*/bridge"))
