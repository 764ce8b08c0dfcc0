"""Suggests the nearest known word for a mistyped one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# Only this many characters are compared: the time grows with the square of the length.
_COMPARED = 64


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean `X`?" for the nearest known word, or an empty string if none is near."""
    by_case = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(word[:_COMPARED].lower(), by_case, n=1)
    return f"; did you mean `{by_case[near[0]]}`?" if near else ""
