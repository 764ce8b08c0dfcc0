"""Chooses the reporter for a command's output."""

from __future__ import annotations

import os
import sys
from typing import TextIO

from provision.report.base import Reporter
from provision.report.json_events import JsonReporter
from provision.report.plain import PlainReporter
from provision.report.run_log import RunLog
from provision.report.tee import TeeReporter


def make_reporter(
    *, json: bool = False, stream: TextIO | None = None, log: RunLog | None = None
) -> TeeReporter:
    """Return the reporter that fits `stream` (standard output by default); it also writes `log`.

    JSON lines when asked for, live lines on a terminal, plain lines elsewhere.
    """
    out = sys.stdout if stream is None else stream
    screen: Reporter
    if json:
        screen = JsonReporter(out)
    elif out.isatty() and os.environ.get("TERM") != "dumb":
        # Rich takes long to import, so it is imported only where it is needed.
        from provision.report.terminal import RichReporter

        screen = RichReporter(out)
    else:
        screen = PlainReporter(out, errors=sys.stderr if stream is None else None)
    return TeeReporter(screen, log)
