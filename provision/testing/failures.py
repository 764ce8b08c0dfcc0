"""How a LabError looks in a pytest run: its words and its hint, without a traceback into kubelab."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from provision.errors import LabError


def fail(error: LabError) -> NoReturn:
    """Fail the test without a traceback, which would only show kubelab's code."""
    raise pytest.fail.Exception(text(error), pytrace=False) from None


def text(error: LabError) -> str:
    """Return an error as text: what failed, its details, and what to do."""
    hint = f"hint: {error.hint}" if error.hint else ""
    return "\n".join(part for part in (error.message, error.details, hint) if part)


def explain(error: BaseException) -> None:
    """Let pytest show the details and the hint of a LabError, too."""
    from provision.errors import LabError

    # An error of a wider fixture is raised again for each of its tests.
    if isinstance(error, LabError) and not getattr(error, "__notes__", None):
        for part in (error.details, f"hint: {error.hint}" if error.hint else ""):
            if part:
                error.add_note(part)
