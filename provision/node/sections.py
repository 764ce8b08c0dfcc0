"""Parses the output of a script that reads many things in one round trip."""

from __future__ import annotations


def sections(text: str) -> dict[str, list[str]]:
    """Return NAME -> lines, of an output whose sections begin with a line `== NAME`."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("== "):
            lines = found[line[3:]] = []
        elif line.strip():
            lines.append(line)
    return found
