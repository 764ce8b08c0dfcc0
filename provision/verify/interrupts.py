"""An end that was asked for comes between two actions of a test, never inside its cleaning up."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator


class Interrupts:
    """Turns the first SIGTERM into Ctrl-C, held back while something is cleaned up; more are ignored."""

    def __init__(self) -> None:
        self._held = False
        self._waiting = False
        self._came = False

    def install(self) -> None:
        """Take SIGTERM from now on; call it in the main thread."""
        signal.signal(signal.SIGTERM, self._receive)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Let what is inside run to its end first."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
            waiting, self._waiting = self._waiting, False
            if waiting:
                raise KeyboardInterrupt

    def end(self) -> None:
        """Let nothing interrupt any more: only cleaning up is left."""
        self._held = True

    def _receive(self, number: int, frame: object) -> None:
        if self._came:
            return
        self._came = True
        if self._held:
            self._waiting = True
        else:
            raise KeyboardInterrupt
