"""For programs: one JSON object a line, and nothing else on the stream."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, TextIO

from provision.report.base import EventReporter
from provision.report.error_view import ErrorView

if TYPE_CHECKING:
    from collections.abc import Callable


def utc_now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


def timestamp(when: datetime) -> str:
    """Return `when` as ISO 8601 with milliseconds, such as "2026-11-21T09:30:00.123Z"."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def error_fields(error: BaseException) -> dict[str, Any]:
    """Return the parts of an error for a program, without the empty ones."""
    view = ErrorView.of(error)
    fields = {
        "kind": view.kind,
        "message": view.message,
        "step": view.step,
        "nodes": list(view.nodes),
        "command": view.command,
        "details": view.details.splitlines(),
        "hint": view.hint,
    }
    return {key: value for key, value in fields.items() if value} | {"exit_code": view.exit_code}


def event_fields(name: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of an event as they are written: flat, seconds to the millisecond."""
    flat = {**fields}
    if name == "error":
        flat |= error_fields(flat.pop("error")) | ({"step": fields["step"]} if fields["step"] else {})
    elif name == "step_failed":
        flat["error"] = ErrorView.of(flat["error"]).message
    if "seconds" in flat:
        flat["seconds"] = round(flat["seconds"], 3)
    return {key: value for key, value in flat.items() if value is not None}


class JsonReporter(EventReporter):
    """Writes every event as {"event": name, "time": ..., fields...}; `now` is for tests."""

    def __init__(self, stream: TextIO, *, now: Callable[[], datetime] = utc_now) -> None:
        self._stream = stream
        self._now = now
        self._lock = threading.Lock()
        self._progress: dict[str, str] = {}

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
    """Return what JSON can hold for a value it does not know."""
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, datetime):
        return timestamp(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    return str(value)
