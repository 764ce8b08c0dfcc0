"""What a row of the sabotage table says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Sabotage:
    """A way to break a healthy cluster, and the shipped test that has to notice.

    `test` is "FILE::FUNCTION" in provision/checks. `node`, "cp1" or "w1", is where `script` runs as root and,
    where the test runs once a node, the only one that it has to be red for. `kubectl` are commands and
    `objects` what is applied, both from the host. `host` is a script for the host itself, run as this user in
    the lab's folder. `also` are tests that cannot but notice too.
    """

    test: str
    node: str = ""
    script: str = ""
    kubectl: tuple[tuple[str, ...], ...] = ()
    objects: tuple[dict[str, Any], ...] = ()
    host: str = ""
    also: tuple[str, ...] = ()
