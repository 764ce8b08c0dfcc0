"""The events that pytest's process sends to `kubelab verify`: one line each, among its other output."""

from __future__ import annotations

import json
from typing import Any

_MARK = "kubelab-event "


def line_of(event: str, **fields: Any) -> str:
    """Return the line for `event`, with a newline."""
    return f"{_MARK}{json.dumps({'event': event, **fields})}\n"


def event_of(line: str) -> dict[str, Any] | None:
    """Return the fields of a line, `event` among them; None for a line that is not an event."""
    if not line.startswith(_MARK):
        return None
    fields: dict[str, Any] = json.loads(line.removeprefix(_MARK))
    return fields
