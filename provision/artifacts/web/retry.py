"""Attempts that brought nothing: how many are made, and how long is waited between them."""

from __future__ import annotations

import contextlib
import email.utils
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provision.artifacts.web.errors import FetchFailed
    from provision.engine.waiting import Clock

AGAIN_HINT = "run the same command again: it goes on from here"


@dataclass(frozen=True)
class Patience:
    """How long a server is borne with; all but `attempts` in seconds.

    `attempts` in a row may bring nothing; `stall` is how long it may be silent, `longest` how long it may
    ask us to wait, `deadline` how long one file may take in all, and `text` a small one.
    """

    attempts: int = 5
    stall: float = 30.0
    longest: float = 120.0
    deadline: float = 3600.0
    text: float = 120.0


ORDINARY = Patience()


class Tries:
    """Counts the attempts that brought nothing, and pauses between them."""

    def __init__(self, patience: Patience, clock: Clock) -> None:
        self._patience = patience
        self._clock = clock
        self._made = 0

    def wait_after(self, error: FetchFailed, *, gained: bool = False) -> None:
        """Pause before the next attempt; raises `error` when there is to be none.

        `gained` says that the attempt brought something, though not all.
        """
        self._made = 1 if gained else self._made + 1
        if error.pause is None:
            raise error
        if error.pause > self._patience.longest:
            raise error.but(f"and asks to come back in {error.pause:.0f} s")
        if self._made >= self._patience.attempts:
            error.hint = error.hint or AGAIN_HINT
            raise error.but(f"also at attempt {self._made}") if self._made > 1 else error
        self._clock.sleep(max(error.pause, 2.0 ** (self._made - 1)))


def retry_after(header: str | None) -> float | None:
    """Return the seconds of a Retry-After, which are a number or a date."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    with contextlib.suppress(ValueError):
        when = email.utils.parsedate_to_datetime(header)
        # All dates of HTTP are in UTC, also where a server forgets to say so.
        return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
    return None
