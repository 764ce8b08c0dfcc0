"""The reporter that commands use: it writes to the screen and to the run log, both without secrets."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Self

from provision.report.base import EventReporter
from provision.report.error_view import outputs
from provision.report.redact import Redactor

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from provision.report.base import Reporter
    from provision.report.run_log import RunLog


class TeeReporter(EventReporter):
    """Passes every event to `screen` and to `log`; as a context manager it closes both.

    Both share one `redactor`, so that a secret that is added once is hidden in both.

    No event raises: work must not stop half-way because nobody can be told of it. `failure` is the first
    exception that an event met.
    """

    def __init__(self, screen: Reporter, log: RunLog | None = None) -> None:
        self.screen = screen
        self.log = log
        self.redactor = log.redactor if log is not None else Redactor()
        self._lock = threading.Lock()
        self._durations: dict[str, float] = {}
        self._told_broken = False
        self._said: set[tuple[str, str]] = set()
        self.failure: Exception | None = None

    @property
    def durations(self) -> dict[str, float]:
        """Return the seconds of every phase by its name and of every step by its id.

        Phases of the same name add up; a step includes the phases inside it.
        """
        with self._lock:
            return dict(self._durations)

    def event(self, name: str, fields: dict[str, Any]) -> None:
        try:
            self._pass_on(name, fields)
        except Exception as error:
            self.failure = self.failure or error

    def _pass_on(self, name: str, fields: dict[str, Any]) -> None:
        if name == "phase":
            with self._lock:
                self._durations[fields["name"]] = self._durations.get(fields["name"], 0.0) + fields["seconds"]
        elif name in ("step_done", "step_failed"):
            with self._lock:
                self._durations[fields["id"]] = fields["seconds"]
        elif name == "error":
            for source, text in outputs(fields["error"]):
                self.said(source, text)
        clean = self.redactor.value(fields)
        if self.log is not None:
            self.log.event(name, clean)
        getattr(self.screen, name)(**clean)
        if self.log is not None:
            self._tell_broken(self.log)

    def said(self, source: str, text: str) -> None:
        """Write what a tool said into the log, unless the same stands there."""
        with self._lock:
            new = (source, text) not in self._said
            self._said.add((source, text))
        if self.log is not None and new:
            self.log.said(source, text)

    def secret(self, text: str) -> None:
        self.redactor.add(text)

    def sink(self, source: str) -> Callable[[str], None]:
        """Return a function that writes output lines of `source` to the log."""
        return self.log.sink(source) if self.log is not None else _ignore

    def close(self) -> None:
        try:
            self.screen.close()
        except Exception as error:
            self.failure = self.failure or error
        if self.log is not None:
            self.log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _tell_broken(self, log: RunLog) -> None:
        with self._lock:
            told, self._told_broken = self._told_broken, bool(log.broken)
        if log.broken and not told:
            self.screen.warn(f"the run log is incomplete from now on: {log.broken}")


def _ignore(line: str) -> None:
    """Ignore a line, as there is no log."""
