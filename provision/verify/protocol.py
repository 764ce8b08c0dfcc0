"""How pytest's process tells `kubelab verify` what happens: a line an event, among other output."""

from __future__ import annotations

import json
from typing import Any

_MARK = "kubelab-event "


def line_of(event: str, **fields: Any) -> str:
    """Return the line that tells of `event`, with its end."""
    return f"{_MARK}{json.dumps({'event': event, **fields})}\n"


def event_of(line: str) -> dict[str, Any] | None:
    """Return the fields of a line, its `event` among them, or None for one that is no event."""
    if not line.startswith(_MARK):
        return None
    fields: dict[str, Any] = json.loads(line.removeprefix(_MARK))
    return fields
