"""What an exception becomes that nobody raised for the user to read."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from provision.errors import Cancelled, Fault, LabError
from provision.report.redact import Redactor


def lab_error_of(raised: BaseException, *, logged: bool = False) -> LabError:
    """Return the error to tell the user: `raised` itself, or what stands for it.

    An OSError is told in the system's words; any other exception is a Fault. `logged` says whether
    there is a run log, which `traceback_of` goes into.
    """
    if isinstance(raised, LabError):
        return raised
    if isinstance(raised, KeyboardInterrupt):
        return Cancelled("interrupted")
    if isinstance(raised, OSError):
        said = raised.strerror or str(raised) or type(raised).__name__
        error = LabError(f"{raised.filename}: {said}" if raised.filename else said)
        error.__cause__ = raised
        return error
    fault = Fault(raised, logged=logged)
    if isinstance(raised, MemoryError):
        # What fills the memory is held by the functions that failed.
        traceback.clear_frames(raised.__traceback__)
    return fault


def traceback_of(error: BaseException, redactor: Redactor) -> list[str]:
    """Return the lines of an error's traceback, without secrets."""
    return redactor.text("".join(traceback.format_exception(error))).splitlines()


@contextmanager
def thread_errors() -> Iterator[list[BaseException]]:
    """Give a list that fills with what threads raise, in place of their tracebacks on the screen."""
    errors: list[BaseException] = []
    before = threading.excepthook
    threading.excepthook = lambda ended: errors.append(ended.exc_value or ended.exc_type())
    try:
        yield errors
    finally:
        threading.excepthook = before
