"""The output of --json: one JSON object per line, and nothing else on the stream."""

from __future__ import annotations

import json
import threading
from datetime import datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, TextIO

from provision.report.base import EventReporter
from provision.report.events import event_fields, timestamp, utc_now

if TYPE_CHECKING:
    from collections.abc import Callable


class JsonReporter(EventReporter):
    """Writes every event as {"event": name, "time": ..., fields...}; `now` is for tests."""

    def __init__(self, stream: TextIO, *, now: Callable[[], datetime] = utc_now) -> None:
        self._stream = stream
        self._now = now
        self._lock = threading.Lock()
        self._progress: dict[str, str] = {}

    def said(self, source: str, text: str) -> None:
        """Nothing: a program reads it in the run log."""

    def event(self, name: str, fields: dict[str, Any]) -> None:
        with self._lock:
            if name == "progress":
                if self._progress.get(fields["step"]) == fields["text"]:
                    return
                self._progress[fields["step"]] = fields["text"]
            written = {"event": name, "time": timestamp(self._now()), **event_fields(name, fields)}
            self._stream.write(json.dumps(written, default=_plain) + "\n")
            self._stream.flush()


def _plain(value: object) -> object:
    """Return a JSON value for a type that JSON does not have."""
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, datetime):
        return timestamp(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    return str(value)
