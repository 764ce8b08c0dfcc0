"""Text functions that the reporters share."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

# Terminal sequences first (colours, titles), then every control character but newline and tab.
_CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)
_MINUTE = 60
_ROUGH_FROM = 90
_AGES = ((86400, "d"), (3600, "h"), (60, "min"))
_MIB = 2**20


def printable(text: str) -> str:
    """Return `text` without control sequences; newlines stay, tabs become spaces.

    Bytes of a file name that are not UTF-8 become question marks, since a terminal cannot show them.
    """
    shown = text.encode(errors="replace").decode()
    return _CONTROL.sub("", shown.replace("\t", "    "))


def duration(seconds: float) -> str:
    """Return "12.3 s" or "2 min 05 s"."""
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{seconds:.1f} s"
    return f"{whole // _MINUTE} min {whole % _MINUTE:02d} s"


def size(count: int) -> str:
    """Return "1400 MiB" for a number of bytes, "12 KiB" for a small one."""
    return f"{count // _MIB} MiB" if count >= _MIB else f"{-(-count // 1024)} KiB"


def age(then: dt.datetime, now: dt.datetime) -> str:
    """Return how long ago something was: "3 d", as short as kubectl's."""
    seconds = max(0, int((now - then).total_seconds()))
    for length, unit in _AGES:
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def estimate(seconds: float | None, pace: str = "") -> str:
    """Return "(~3 min, emulated)", or an empty string without an estimate."""
    if seconds is None:
        return ""
    rough = f"~{round(seconds / _MINUTE)} min" if seconds >= _ROUGH_FROM else f"~{max(1, round(seconds))} s"
    return f"({rough}, {pace})" if pace else f"({rough})"


def table_lines(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the table as aligned lines: the column names, then one line per row."""
    cells = [[printable(cell).replace("\n", " ") for cell in row] for row in (columns, *rows)]
    widths = [max(len(row[index]) for row in cells) for index in range(len(columns))]
    padded = ([cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in cells)
    return ["  ".join(row).rstrip() for row in padded]
