"""Comparing a rendered text with the one in this folder; UPDATE_GOLDEN=1 writes it instead."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(__file__).parent


def check(name: str, text: str) -> None:
    """Fail unless the file `name` holds exactly `text`."""
    file = FOLDER / name
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(text)
    assert text == file.read_text(), (
        f"{name} differs; once that is right: UPDATE_GOLDEN=1 pytest tests/golden"
    )
