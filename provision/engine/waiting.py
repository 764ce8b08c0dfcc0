"""Waiting for something real: poll a probe until it answers or a deadline passes."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Protocol, TypeVar

from provision.errors import Cancelled, LabError, WaitTimeout

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

# How often an event looks at another one, in seconds.
_LOOK = 0.2


class Clock(Protocol):
    """Time as the engine sees it; tests give a fake one."""

    def now(self) -> float:
        """Return monotonic seconds."""

    def sleep(self, seconds: float) -> None:
        """Pause; raise Cancelled when the work was given up meanwhile."""


class RealClock:
    """The machine's monotonic clock; `cancel` ends every pause at once."""

    def __init__(self, cancel: threading.Event | None = None) -> None:
        self.cancel = cancel or threading.Event()

    def now(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        if self.cancel.wait(seconds):
            raise Cancelled("given up")


class Within(threading.Event):
    """An event for a part of some work: set by itself, and whenever that of the whole is."""

    def __init__(self, whole: threading.Event) -> None:
        super().__init__()
        self._whole = whole

    def is_set(self) -> bool:
        return super().is_set() or self._whole.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        end = None if timeout is None else time.monotonic() + timeout
        while not self.is_set():
            left = _LOOK if end is None else min(_LOOK, end - time.monotonic())
            if left <= 0:
                return False
            super().wait(left)
        return True


def poll_until(
    probe: Callable[[], T | None],
    *,
    what: str,
    deadline: float,
    clock: Clock,
    interval: float = 1.0,
    errors: type[LabError] | tuple[type[LabError], ...] = (),
    hint: str = "",
) -> T:
    """Call `probe` until it returns something true, and return that.

    `deadline` and `interval` are seconds. An error listed in `errors` counts as "not yet".
    Raises WaitTimeout naming `what` and the last such error.
    """
    end = clock.now() + deadline
    last = ""
    while True:
        try:
            found = probe()
            if found:
                return found
        except errors as error:
            last = f" (last: {error})"
        if clock.now() + interval > end:
            raise WaitTimeout(f"{what} did not come within {deadline:.0f} s{last}", hint=hint)
        clock.sleep(interval)
