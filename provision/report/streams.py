"""The standard streams of the program, when they are closed or nobody reads them."""

from __future__ import annotations

import os
import select
import signal
import sys

# What a shell sees of a program that SIGPIPE ended.
UNREAD = 128 + signal.SIGPIPE
_STANDARD = (0, 1, 2)


def open_missing() -> None:
    """Open /dev/null in place of every standard stream that is closed.

    A file opened later would get its number, and output meant for the user would go into that file.
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
    """Return whether the reader of standard output or of standard error has gone away."""
    poll = select.poll()
    for number in _STANDARD[1:]:
        poll.register(number, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def finish(code: int) -> int:
    """Write what is left in the streams, and return the exit code: `code` unless that failed.

    A stream that takes nothing is replaced by /dev/null, so that Python does not complain at its end.
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
