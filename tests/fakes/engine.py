"""A clock for tests: time passes only when somebody sleeps."""

from __future__ import annotations

from collections.abc import Callable


class FakeClock:
    """Time that passes only by sleeping, at once; `on_sleep` is told of every pause, to change the world.

    With `speed` a wait that is to end in vain takes few pauses.
    """

    def __init__(self) -> None:
        self.time = 0.0
        self.speed = 1.0
        self.on_sleep: Callable[[], None] = lambda: None

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds * self.speed
        self.on_sleep()
