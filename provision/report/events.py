"""The fields of an event, as the JSON reporter and the run log write them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from provision.report.error_view import ErrorView


def utc_now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


def timestamp(when: datetime) -> str:
    """Return `when` as ISO 8601 with milliseconds, such as "2026-11-21T09:30:00.123Z"."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def error_fields(error: BaseException) -> dict[str, Any]:
    """Return the parts of an error as JSON data, without empty ones."""
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
    """Return the fields of an event as they are written: flat, durations rounded to milliseconds."""
    flat = {**fields}
    if name == "error":
        flat |= error_fields(flat.pop("error")) | ({"step": fields["step"]} if fields["step"] else {})
    elif name == "step_failed":
        flat["error"] = ErrorView.of(flat["error"]).message
    if "seconds" in flat:
        flat["seconds"] = round(flat["seconds"], 3)
    return {key: value for key, value in flat.items() if value is not None}
