"""Turns any exception into a LabError to report, and its traceback into lines for the run log."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from provision.errors import Cancelled, Fault, LabError
from provision.report.redact import Redactor


def lab_error_of(raised: BaseException, *, logged: bool = False) -> LabError:
    """Return the error to report: `raised` itself if it is a LabError, or one that wraps it.

    An OSError keeps the system's message; any other exception becomes a Fault. `logged` says whether the
    traceback is in a run log.
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
        # The local variables of the failed functions may be what fills the memory.
        traceback.clear_frames(raised.__traceback__)
    return fault


def traceback_of(error: BaseException, redactor: Redactor) -> list[str]:
    """Return the lines of an error's traceback, without secrets."""
    return redactor.text("".join(traceback.format_exception(error))).splitlines()


@contextmanager
def thread_errors() -> Iterator[list[BaseException]]:
    """Give a list that collects the exceptions of threads; Python would print their tracebacks."""
    errors: list[BaseException] = []
    before = threading.excepthook
    threading.excepthook = lambda ended: errors.append(ended.exc_value or ended.exc_type())
    try:
        yield errors
    finally:
        threading.excepthook = before
