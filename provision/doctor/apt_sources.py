"""The machine's own Debian source, and the backports suite derived from it.

The mirror that already serves the machine serves backports too, so no host name is written here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FIELD = re.compile(r"^(?P<name>[A-Za-z][A-Za-z-]*):\s*(?P<value>.*)$")


@dataclass(frozen=True)
class Source:
    """One apt source: what deb822 calls a stanza. `options` are all other fields."""

    uris: str
    suites: tuple[str, ...]
    options: tuple[tuple[str, str], ...] = ()

    def with_suite(self, suite: str) -> str:
        """Return the deb822 text of the same source for another suite, component main."""
        lines = [
            "# Written by `kubelab doctor --fix`.",
            "Types: deb",
            f"URIs: {self.uris}",
            f"Suites: {suite}",
            "Components: main",
            *(f"{name}: {value}" for name, value in self.options),
        ]
        return "\n".join(lines) + "\n"


def sources(apt: Path) -> list[Source]:
    """Return the binary package sources of the folder `apt` (/etc/apt), in apt's own order."""
    found: list[Source] = []
    for path in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]:
        if not path.is_file():
            continue
        if path.suffix == ".list":
            found += _one_line(path.read_text(errors="replace"))
        elif path.suffix == ".sources":
            found += _deb822(path.read_text(errors="replace"))
    return found


def _deb822(text: str) -> Iterator[Source]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for stanza in re.split(r"\n\s*\n", "\n".join(lines)):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.splitlines():
            match = _FIELD.match(line)
            if match:
                name = match["name"].lower()
                fields[name] = match["value"].strip()
            elif name and line.strip():
                # An inline key: its lines keep their leading blank.
                fields[name] += "\n" + line
        enabled = fields.get("enabled", "yes").lower() not in ("no", "false", "0")
        if enabled and "deb" in fields.get("types", "").split() and "uris" in fields:
            yield Source(
                " ".join(fields["uris"].split()),
                tuple(fields.get("suites", "").split()),
                _kept(fields),
            )


def _one_line(text: str) -> Iterator[Source]:
    for line in text.splitlines():
        match = re.match(r"^\s*deb\s+(?:\[(?P<options>[^\]]*)\]\s*)?(?P<uri>\S+)\s+(?P<suite>\S+)", line)
        if match:
            options = dict(word.split("=", 1) for word in (match["options"] or "").split() if "=" in word)
            yield Source(match["uri"], (match["suite"],), _kept(options))


def _kept(fields: dict[str, str]) -> tuple[tuple[str, str], ...]:
    signed_by = fields.get("signed-by")
    return (("Signed-By", signed_by),) if signed_by else ()


def source_of(suite: str, known: list[Source]) -> Source | None:
    """Return the first of the known sources that has `suite`."""
    return next((source for source in known if suite in source.suites), None)
