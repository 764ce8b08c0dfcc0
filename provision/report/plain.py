"""The output without a terminal: one plain line per event, for CI logs and pipes."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, TextIO

from provision.report.error_view import ErrorView
from provision.report.text import duration, printable, table_lines
from provision.report.text import estimate as estimate_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

PROGRESS_EVERY = 10.0
# After that long without a word about a step, its reader wonders whether it hangs.
SILENCE = 60.0


class PlainReporter:
    """Writes lines like "[  12.3s] title ..."; the number is the time since the start.

    Warnings and errors go to `errors`, by default the same stream. `now` returns seconds.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        errors: TextIO | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._errors = errors or stream
        self._now = now
        self._start = now()
        self._lock = threading.Lock()
        self._titles: dict[str, str] = {}
        self._progress_at: dict[str, float] = {}
        # When each running step began, and when it was spoken of last.
        self._running: dict[str, float] = {}
        self._spoken: dict[str, float] = {}
        self._pace = ""
        self._closed = threading.Event()
        self._reminder: threading.Thread | None = None

    def step_started(self, id: str, title: str, estimate: float | None = None) -> None:
        with self._lock:
            self._titles[id] = title
            self._progress_at.pop(id, None)
            self._running[id] = self._spoken[id] = self._now()
            if self._reminder is None:
                self._reminder = threading.Thread(target=self._keep_reminding, daemon=True)
                self._reminder.start()
        self._say(f"{title} ... {estimate_text(estimate, self._pace)}".rstrip())

    def step_done(self, id: str, seconds: float, changed: bool = True) -> None:
        self._ended(id)
        end = "done" if changed else "already done"
        self._say(f"{self._title(id)}: {end} in {duration(seconds)}")

    def step_skipped(self, id: str, why: str = "already done") -> None:
        self._ended(id)
        self._say(f"{self._title(id)}: {why}")

    def step_failed(self, id: str, seconds: float, error: BaseException) -> None:
        self._ended(id)
        end = "cancelled" if ErrorView.of(error).given_up else "FAILED"
        self._say(f"{self._title(id)}: {end} after {duration(seconds)}")

    def phase(self, name: str, seconds: float) -> None:
        self._say(f"  {name}: {duration(seconds)}")

    def progress(self, text: str, step: str = "") -> None:
        now = self._now()
        with self._lock:
            last = self._progress_at.get(step)
            if last is not None and now - last < PROGRESS_EVERY:
                return
            self._progress_at[step] = self._spoken[step] = now
        self._say(f"  {self._title(step)}: {text}" if step else f"  {text}")

    def remind(self) -> None:
        """Say how long a step has been at work, of each that nothing was said of for a minute."""
        now = self._now()
        with self._lock:
            silent = [id for id in self._running if now - self._spoken[id] >= SILENCE]
            self._spoken.update(dict.fromkeys(silent, now))
            lines = [
                f"  {self._title(id)}: still at work after {duration(now - self._running[id])}"
                for id in silent
            ]
        for line in lines:
            self._say(line)

    def pace(self, note: str) -> None:
        self._pace = note

    def info(self, text: str) -> None:
        self._say(text)

    def warn(self, text: str) -> None:
        self._say(f"warning: {text}", self._errors)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        self._write([title, *table_lines(columns, rows)] if title else table_lines(columns, rows))

    def result(self, data: Mapping[str, object]) -> None:
        """Nothing: results are printed by --json only."""

    def error(
        self,
        error: BaseException,
        step: str | None = None,
        log: Path | None = None,
        resume: str | None = None,
    ) -> None:
        view = ErrorView.of(error)
        text = "\n".join([f"error: {view.message}", *view.lines(step, log, resume)])
        self._say(text, self._errors)

    def said(self, source: str, text: str) -> None:
        """Nothing: it is for the run log."""

    def next_commands(self, commands: Sequence[str]) -> None:
        for command in commands:
            self._say(f"next: {command}")

    def secret(self, text: str) -> None:
        """Nothing is hidden here: what is shown comes without secrets."""

    def close(self) -> None:
        self._closed.set()
        self._stream.flush()

    def _keep_reminding(self) -> None:
        # A screen that is gone is the command's to notice.
        with contextlib.suppress(OSError, ValueError):
            while not self._closed.wait(PROGRESS_EVERY):
                self.remind()

    def _ended(self, id: str) -> None:
        with self._lock:
            self._running.pop(id, None)

    def _title(self, id: str) -> str:
        return self._titles.get(id, id)

    def _say(self, text: str, stream: TextIO | None = None) -> None:
        """Write `text` after the elapsed time, its further lines indented."""
        first, *rest = text.split("\n")
        elapsed = self._now() - self._start
        self._write([f"[{elapsed:6.1f}s] {first}", *(f"    {line}" for line in rest)], stream)

    def _write(self, lines: Sequence[str], stream: TextIO | None = None) -> None:
        target = stream or self._stream
        encoding = target.encoding or "utf-8"
        text = "".join(f"{printable(line)}\n" for line in lines)
        with self._lock:
            target.write(text.encode(encoding, "replace").decode(encoding))
            target.flush()
