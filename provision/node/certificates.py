"""When the certificates that a control plane lives by end."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from provision.config.inventory import Node
from provision.errors import LabError
from provision.node.runner import Runner
from provision.repair.state import certificates
from provision.repair.survey import CERTIFICATES


@dataclass(frozen=True)
class Expiry:
    """A file on a node, and when the first certificate in it ends."""

    node: str
    file: str
    end: dt.datetime

    def days(self, now: dt.datetime) -> int:
        """Return how many whole days are left; negative when it has ended."""
        return (self.end - now).days


def expiries(node: Node, runner: Runner, deadline: float) -> list[Expiry]:
    """Return the certificates of a control plane, the one that ends first first.

    `deadline` is seconds. Raises RemoteError, and LabError for a file that cannot be understood.
    """
    text = runner.run(CERTIFICATES, deadline=deadline, what="read the certificates").stdout
    try:
        ends = certificates(text.splitlines())
    except ValueError as error:
        raise LabError(f"{node.name}: {error}") from error
    return sorted((Expiry(node.name, *each) for each in ends.items()), key=lambda each: each.end)
