"""Handles standard streams that are closed, full, or no longer read by anyone."""

from __future__ import annotations

import os
import select
import signal
import sys

# The exit code that a shell reports for a program ended by SIGPIPE.
UNREAD = 128 + signal.SIGPIPE
_STANDARD = (0, 1, 2)


def open_missing() -> None:
    """Open /dev/null in place of every standard stream that is closed.

    Otherwise a file opened later would get its number, and output would go into that file.
    """
    for number in _STANDARD:
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is this one.
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)


def are_unread() -> bool:
    """Return whether the reader of standard output or standard error has closed its end."""
    poll = select.poll()
    for number in _STANDARD[1:]:
        poll.register(number, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def finish(code: int) -> int:
    """Flush the streams and return the exit code: `code`, unless flushing failed.

    A stream that cannot be written is replaced by /dev/null, so that Python prints no error at its exit.
    """
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            stream.flush()
        except OSError as error:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, number)
            os.close(null)
            unread = isinstance(error, BrokenPipeError)
            code = UNREAD if unread else code or 1
    return code
