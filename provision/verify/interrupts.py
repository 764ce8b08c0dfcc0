"""SIGTERM for the pytest process: it ends a test, but never interrupts the clean-up after it."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator


class Interrupts:
    """Turns the first SIGTERM into KeyboardInterrupt, delayed during clean-up; further ones are ignored."""

    def __init__(self) -> None:
        self._held = False
        self._waiting = False
        self._came = False

    def install(self) -> None:
        """Handle SIGTERM from now on; call it in the main thread."""
        signal.signal(signal.SIGTERM, self._receive)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Delay the interrupt until the body has ended."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
            waiting, self._waiting = self._waiting, False
            if waiting:
                raise KeyboardInterrupt

    def end(self) -> None:
        """Allow no more interrupts: only clean-up is left."""
        self._held = True

    def _receive(self, number: int, frame: object) -> None:
        if self._came:
            return
        self._came = True
        if self._held:
            self._waiting = True
        else:
            raise KeyboardInterrupt
