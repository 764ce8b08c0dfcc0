"""The relay of a lab is started apart from kubelab, which it outlives, and ended by its record."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from pathlib import Path

import provision
from provision.errors import LabError, ToolFailed, last_lines
from provision.host.files import remove_with_leftovers
from provision.host.process import run_tool
from provision.relay.plan import Plan
from provision.relay.record import MODULE, Record, is_relay, living

# An interpreter starts in one of them, unless the host is busy with machines.
START_SECONDS = 60.0
END_SECONDS = 5.0
_ROOT = Path(provision.__file__).resolve().parent.parent


def start(file: Path, plan: Plan) -> None:
    """Start a relay, which records itself in `file`; raises LabError where it cannot listen."""
    path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
    # Without -P a file in some folder could be imported in place of a library.
    argv = [sys.executable, "-P", "-m", MODULE, str(file)]
    try:
        run_tool(
            argv,
            deadline=START_SECONDS,
            stdin=plan.model_dump_json(),
            env={"PYTHONPATH": path},
            # No folder is kept from being unmounted.
            cwd=Path("/"),
        )
    except ToolFailed as failed:
        why = last_lines(failed.output, 1)
        raise LabError(f"the host's ports cannot lead to the lab: {why}", hint="kubelab up") from failed


def end(file: Path) -> bool:
    """End the relay that `file` records, and forget it; return whether one ran. Raises LabError."""
    record = living(file)
    ended = record is not None and _end(record)
    remove_with_leftovers(file)
    return ended


def _end(record: Record) -> bool:
    """End a relay, politely first; by a descriptor, as its number may be another's a moment later."""
    try:
        descriptor = os.pidfd_open(record.pid)
    except ProcessLookupError:
        return False
    try:
        if not is_relay(record):
            return False
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, number)
            if select.select([descriptor], [], [], END_SECONDS)[0]:
                return True
    finally:
        os.close(descriptor)
    raise LabError(
        f"process {record.pid}, which leads ports to the lab, does not end", hint=f"kill -9 {record.pid}"
    )
