"""How fast a node is now, measured by a small piece of work: deadlines follow from it."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping

TURNS = 4000
# What the work takes on the host itself where that is of usual speed and has nothing else to do.
USUAL_MILLISECONDS = 10.0
# A deadline is to end some day: a machine that is slower than that is not waited for any longer.
SLOWEST = 3.0
WORTH_TELLING = 2.0
# The shell alone: a program would be timed by how long it takes to load.
MEASURE = f"""
from=$(date +%s%N)
turn=0
while [ $turn -lt {TURNS} ]; do turn=$((turn + 1)); done
echo "speed $((($(date +%s%N) - from) / 1000000))"
"""
VARIABLE = "KUBELAB_SLOWNESS"
_NUMBER = re.compile(r"\d+\.\d+")
_SPEED = re.compile(r"^speed (\d+)$", re.MULTILINE)


class Pace:
    """How many times longer than usual the slowest node takes; 1 until it is measured, and 3 at most."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._slowness = 1.0

    @property
    def slowness(self) -> float:
        """Return what deadlines are multiplied by."""
        return self._slowness

    def note(self, output: str, factor: float) -> None:
        """Read what MEASURE printed on one node; `factor` is that of the acceleration."""
        if found := _SPEED.search(output):
            self._raise_to(int(found[1]) / (USUAL_MILLISECONDS * factor))

    @property
    def environment(self) -> dict[str, str]:
        """Return what tells another process of the same run, by `take`, what was measured."""
        return {VARIABLE: f"{self._slowness:.2f}"}

    def take(self, environment: Mapping[str, str]) -> None:
        """Take over what the process that started this one has measured, if it has."""
        if _NUMBER.fullmatch(found := environment.get(VARIABLE, "")):
            self._raise_to(float(found))

    def _raise_to(self, slowness: float) -> None:
        with self._lock:
            self._slowness = min(max(self._slowness, slowness), SLOWEST)
