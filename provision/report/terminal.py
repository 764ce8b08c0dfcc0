"""The output on a terminal: a live line for every running step, finished lines above it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from rich.console import Console, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from provision.report.error_view import ErrorView
from provision.report.text import duration, printable
from provision.report.text import estimate as estimate_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

REFRESHES = 8


@dataclass
class _Running:
    title: str
    estimate: float | None
    since: float
    progress: str = ""


class RichReporter:
    """Draws on a terminal; `now` returns seconds. `close` must always be called.

    To avoid a deadlock, the lock `_state` is never held while Rich is called, since Rich calls `_render`
    while it holds its own locks.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        console: Console | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console or Console(file=stream, highlight=False)
        self._now = now
        self._state = threading.Lock()
        self._live_lock = threading.RLock()
        self._live: Live | None = None
        self._running: dict[str, _Running] = {}
        self._titles: dict[str, str] = {}
        self._pace = ""
        fancy = "utf" in self._console.encoding.lower()
        self._marks = "✔=✘-·" if fancy else "+=x-."
        self._spinner = Spinner("dots" if fancy else "line", style="cyan")

    def step_started(self, id: str, title: str, estimate: float | None = None) -> None:
        with self._state:
            self._titles[id] = printable(title)
            self._running[id] = _Running(printable(title), estimate, self._now())
        self._show_or_hide()

    def step_done(self, id: str, seconds: float, changed: bool = True) -> None:
        end = duration(seconds) if changed else f"already done  {duration(seconds)}"
        self._finish(id, 0 if changed else 1, "green" if changed else "dim", end)

    def step_skipped(self, id: str, why: str = "already done") -> None:
        self._finish(id, 1, "dim", why)

    def step_failed(self, id: str, seconds: float, error: BaseException) -> None:
        if ErrorView.of(error).given_up:
            self._finish(id, 3, "yellow", f"cancelled after {duration(seconds)}")
        else:
            self._finish(id, 2, "bold red", duration(seconds))

    def phase(self, name: str, seconds: float) -> None:
        self._print(Text(f"  {self._marks[4]} {printable(name)}  {duration(seconds)}", "dim"))

    def progress(self, text: str, step: str = "") -> None:
        shown = printable(text).replace("\n", " ")
        with self._state:
            running = self._running.get(step) or next(reversed(self._running.values()), None)
            if running is not None:
                running.progress = shown
        if running is None:
            self._print(Text(shown, "dim"))

    def pace(self, note: str) -> None:
        self._pace = note

    def info(self, text: str) -> None:
        self._print(Text(printable(text)))

    def warn(self, text: str) -> None:
        self._print(Text(f"warning: {printable(text)}", "yellow"))

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        table = Table(title=Text(printable(title)) if title else None, box=None, pad_edge=False)
        table.title_justify = "left"
        for column in columns:
            table.add_column(Text(printable(column), "bold"), overflow="fold")
        for row in rows:
            table.add_row(*(Text(printable(cell)) for cell in row))
        self._print(table)

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
        text = Text(f"{self._marks[2]} {printable(view.message)}", "bold red")
        for line in view.lines(step, log, resume):
            style = "dim" if line.startswith("|") else "default"
            text.append(f"\n  {printable(line)}", f"not bold {style}")
        self._print(text)

    def said(self, source: str, text: str) -> None:
        """Nothing: it is for the run log."""

    def next_commands(self, commands: Sequence[str]) -> None:
        if commands:
            text = Text("next:", "bold")
            for command in commands:
                text.append(f"\n  {printable(command)}", "not bold cyan")
            self._print(text)

    def secret(self, text: str) -> None:
        """Nothing is hidden here: what is shown comes without secrets."""

    def close(self) -> None:
        with self._state:
            self._running.clear()
        self._show_or_hide()
        # Ctrl-C may have interrupted the stop.
        self._console.show_cursor(True)

    def _finish(self, id: str, mark: int, style: str, end: str) -> None:
        with self._state:
            self._running.pop(id, None)
            title = self._titles.get(id, id)
        self._show_or_hide()
        self._print(Text.assemble((self._marks[mark], style), f" {title}  ", (printable(end), "dim")))

    def _print(self, what: RenderableType) -> None:
        # A long command must stay on one line, so that it can be copied from the terminal.
        self._console.print(what, soft_wrap=isinstance(what, Text))

    def _show_or_hide(self) -> None:
        """Show the live area while a step runs, and hide it otherwise."""
        with self._live_lock:
            with self._state:
                wanted = bool(self._running)
            if wanted and self._live is None:
                self._live = Live(
                    console=self._console,
                    get_renderable=self._render,
                    refresh_per_second=REFRESHES,
                    transient=True,
                )
                self._live.start(refresh=True)
            elif not wanted and self._live is not None:
                self._live.stop()
                self._live = None
            elif self._live is not None:
                self._live.refresh()

    def _render(self) -> RenderableType:
        with self._state:
            running = list(self._running.values())
        now = self._now()
        grid = Table.grid(padding=(0, 1))
        for overflow in (False, False, True):
            grid.add_column(no_wrap=True, overflow="ellipsis", ratio=1 if overflow else None)
        for step in running:
            note = estimate_text(step.estimate, self._pace)
            about = f"{duration(now - step.since)} {note}".rstrip()
            grid.add_row(self._spinner, Text(f"{step.title}  {about}"), Text(step.progress, "dim"))
        return grid
