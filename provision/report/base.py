"""The Reporter protocol: everything a command reports while it works."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class Reporter(Protocol):
    """Receives what happens; safe to call from several threads. All durations are in seconds."""

    def step_started(self, id: str, title: str, estimate: float | None = None) -> None:
        """A step begins; `estimate` is how long it usually takes."""

    def step_done(self, id: str, seconds: float, changed: bool = True) -> None:
        """A step succeeded; `changed` says whether it changed anything."""

    def step_skipped(self, id: str, why: str = "already done") -> None:
        """A step had nothing to do."""

    def step_failed(self, id: str, seconds: float, error: BaseException) -> None:
        """A step failed or was cancelled; the error itself is reported once, by `error`."""

    def phase(self, name: str, seconds: float) -> None:
        """A part of a step took this long, such as "boot" or "kubeadm init"."""

    def progress(self, text: str, step: str = "") -> None:
        """What a running step does right now; each text replaces the one before."""

    def pace(self, note: str) -> None:
        """A note shown with every estimate from now on, such as "emulated"."""

    def info(self, text: str) -> None:
        """A message."""

    def warn(self, text: str) -> None:
        """A warning."""

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table for people."""

    def result(self, data: Mapping[str, object]) -> None:
        """The command's result as data, for --json only."""

    def error(
        self,
        error: BaseException,
        step: str | None = None,
        log: Path | None = None,
        resume: str | None = None,
    ) -> None:
        """Why the command failed; `resume` is the command that continues from here."""

    def said(self, source: str, text: str) -> None:
        """Everything that a tool or a node said, for the run log alone."""

    def next_commands(self, commands: Sequence[str]) -> None:
        """Commands that the user may want to run next."""

    def secret(self, text: str) -> None:
        """Hide this text, and each of its lines, in everything that is told from now on."""

    def close(self) -> None:
        """Release the terminal; may be called more than once."""


class EventReporter:
    """A Reporter that turns every call into one named event with its fields."""

    def event(self, name: str, fields: dict[str, Any]) -> None:
        """Handle one event; `fields` are the arguments of the method `name`."""
        raise NotImplementedError

    def step_started(self, id: str, title: str, estimate: float | None = None) -> None:
        self.event("step_started", {"id": id, "title": title, "estimate": estimate})

    def step_done(self, id: str, seconds: float, changed: bool = True) -> None:
        self.event("step_done", {"id": id, "seconds": seconds, "changed": changed})

    def step_skipped(self, id: str, why: str = "already done") -> None:
        self.event("step_skipped", {"id": id, "why": why})

    def step_failed(self, id: str, seconds: float, error: BaseException) -> None:
        self.event("step_failed", {"id": id, "seconds": seconds, "error": error})

    def phase(self, name: str, seconds: float) -> None:
        self.event("phase", {"name": name, "seconds": seconds})

    def progress(self, text: str, step: str = "") -> None:
        self.event("progress", {"text": text, "step": step})

    def pace(self, note: str) -> None:
        self.event("pace", {"note": note})

    def info(self, text: str) -> None:
        self.event("info", {"text": text})

    def warn(self, text: str) -> None:
        self.event("warn", {"text": text})

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        self.event("table", {"title": title, "columns": columns, "rows": rows})

    def result(self, data: Mapping[str, object]) -> None:
        self.event("result", {"data": data})

    def error(
        self,
        error: BaseException,
        step: str | None = None,
        log: Path | None = None,
        resume: str | None = None,
    ) -> None:
        self.event("error", {"error": error, "step": step, "log": log, "resume": resume})

    def said(self, source: str, text: str) -> None:
        self.event("said", {"source": source, "text": text})

    def next_commands(self, commands: Sequence[str]) -> None:
        self.event("next_commands", {"commands": commands})

    def secret(self, text: str) -> None:
        """Nothing is hidden here: what shows or writes events does that."""

    def close(self) -> None:
        """Nothing to release."""


class RecordingReporter(EventReporter):
    """Keeps every event, for tests: `events` is a list of (name, fields)."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._lock = threading.Lock()

    def event(self, name: str, fields: dict[str, Any]) -> None:
        with self._lock:
            self.events.append((name, fields))

    def of(self, name: str) -> list[dict[str, Any]]:
        """Return the fields of every event called `name`, in order."""
        with self._lock:
            return [fields for event, fields in self.events if event == name]
