"""A node's clock."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from provision.errors import Result
from provision.node.clock import NANO
from tests.fakes.node.runner import OK, Call


@dataclass
class NodeClock:
    """A node's clock, so many seconds ahead of the host's."""

    ahead: float = 0.0

    def answer(self, call: Call) -> Result:
        """Show the clock, or step it."""
        if step := re.search(r"now \+ (-?\d+)", call.command):
            self.ahead += int(step[1]) / NANO
            return OK
        return Result(f"{time.time_ns() + round(self.ahead * NANO)}\n", "", 0)
