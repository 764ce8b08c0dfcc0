"""How a box is named where it is used."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BoxReference:
    """How a Vagrantfile names its box: `url` is a file:// URL, `disk` the size in GiB it has at least."""

    name: str
    version: str
    url: str
    disk: int
