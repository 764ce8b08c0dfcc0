"""The run log: every event and every line of every tool's output, without secrets."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import threading
from typing import TYPE_CHECKING, Any

from provision.report.base import EventReporter
from provision.report.events import event_fields, timestamp, utc_now
from provision.report.redact import LineRedactor, Redactor
from provision.report.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

KEPT_RUNS = 5
PRIVATE = 0o600


class RunLog(EventReporter):
    """Appends to the file `path` (mode 0600); the four runs before are kept as `path`.1 to .4.

    It never raises, so that a log that cannot be written keeps no command from its work, and cannot hide
    the error that matters; `broken` says why the log is incomplete.
    """

    def __init__(
        self,
        path: Path,
        redactor: Redactor | None = None,
        *,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.path = path
        self.redactor = redactor or Redactor()
        self.broken = ""
        self._now = now
        self._lock = threading.Lock()
        self._lines: dict[str, LineRedactor] = {}
        self._progress: dict[str, str] = {}
        self._fd = -1
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _rotate(path)
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, PRIVATE)
            os.fchmod(self._fd, PRIVATE)
        except OSError as error:
            self.broken = f"{path}: {error.strerror}"

    def event(self, name: str, fields: dict[str, Any]) -> None:
        """Write one event of the Reporter; a repeated progress text is left out."""
        if name == "progress":
            with self._lock:
                if self._progress.get(fields["step"]) == fields["text"]:
                    return
                self._progress[fields["step"]] = fields["text"]
        written = event_fields(name, self.redactor.value(fields))
        self._write(f"{name} {json.dumps(written, default=str, ensure_ascii=False)}")

    def said(self, source: str, text: str) -> None:
        """Write all lines of `source`."""
        for line in text.splitlines():
            self.output(source, line)

    def output(self, source: str, line: str) -> None:
        """Write one line of output of `source`, which is a tool or a node."""
        with self._lock:
            lines = self._lines.setdefault(source, LineRedactor(self.redactor))
            clean = lines.line(line.rstrip("\r\n"))
        if clean is not None:
            self._write(f"{source} | {clean}")

    def sink(self, source: str) -> Callable[[str], None]:
        """Return a function that writes lines of `source`, for run_tool's `on_line`."""
        return lambda line: self.output(source, line)

    def close(self) -> None:
        """Close the file; later writes are ignored."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
            self._fd = -1

    def _write(self, text: str) -> None:
        stamp = timestamp(self._now())
        data = "".join(f"{stamp} {printable(line)}\n" for line in text.split("\n")).encode(errors="replace")
        with self._lock:
            if self._fd < 0 or self.broken:
                return
            try:
                while data:
                    data = data[os.write(self._fd, data) :]
            except OSError as error:
                self.broken = f"{self.path}: {error.strerror}"


def _rotate(path: Path) -> None:
    """Rename run.log to run.log.1 and so on; the oldest is overwritten."""
    runs = [path, *(path.with_name(f"{path.name}.{age}") for age in range(1, KEPT_RUNS))]
    for newer, older in reversed(list(itertools.pairwise(runs))):
        with contextlib.suppress(FileNotFoundError):
            newer.replace(older)
