"""How a LabError looks in a pytest run: its words and its hint, without a traceback into kubelab."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from provision.errors import LabError


def fail(error: LabError) -> NoReturn:
    """Fail the test without a traceback, which would lead into kubelab."""
    raise pytest.fail.Exception(text(error), pytrace=False) from None


def text(error: LabError) -> str:
    """Return an error for people: what failed, with which words, what to do."""
    hint = f"hint: {error.hint}" if error.hint else ""
    return "\n".join(part for part in (error.message, error.details, hint) if part)


def explain(error: BaseException) -> None:
    """Let pytest show what a LabError knows beyond its message."""
    from provision.errors import LabError

    # One that a wider fixture raised comes again with each of its tests.
    if isinstance(error, LabError) and not getattr(error, "__notes__", None):
        for part in (error.details, f"hint: {error.hint}" if error.hint else ""):
            if part:
                error.add_note(part)
