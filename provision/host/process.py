"""Runs programs on the host, with a deadline and with their output captured."""

from __future__ import annotations

import contextlib
import functools
import os
import queue
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

from provision.errors import Cancelled, LabError, MissingTool, ToolFailed
from provision.host.interrupts import interrupts_held

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

KEPT_LINES = 200
KILL_GRACE = 5.0
# How long to read on after the program ended: what it left in the background may hold its streams.
DRAIN_GRACE = 1.0
POLL = 0.2
# Bytes of one stream: far more than any program says that does its work. A longer line comes in pieces.
MOST_SAID = 64 * 2**20
LONGEST_LINE = 2**20
# About what Python needs for a line beside its characters.
LINE_COST = 64
# The stream and its line, None where there are too many; None alone for the end of a stream.
_Lines = queue.Queue[tuple[str, str | None] | None]
# Sends a signal to a process group, as os.killpg does.
Kill = Callable[[int, signal.Signals], None]


def run_tool(
    argv: Sequence[str],
    *,
    deadline: float,
    stdin: str = "",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    on_line: Callable[[str], None] | None = None,
    cancel: threading.Event | None = None,
    hint: str = "",
    grace: float = KILL_GRACE,
    on_end: Callable[[], None] | None = None,
    kill: Kill = os.killpg,
    orphaned: signal.Signals = signal.SIGKILL,
    umask: int = -1,
) -> str:
    """Run a program on the host and return its standard output.

    `env` is added to this process's environment. `on_line` sees every line of both streams as it
    comes. The program leads a process group of its own, which is ended as a whole at the deadline
    (seconds), on `cancel` and on Ctrl-C: `on_end` is told, then it has `grace` seconds to end by itself,
    unless Ctrl-C comes again. What a program that ended by itself leaves in the background runs on.
    `kill` ends the group. On Linux the program is sent `orphaned` when this thread or process is gone,
    whatever ended it. `umask` -1 is this process's own. Raises MissingTool, ToolFailed, Cancelled; a program
    that says more than MOST_SAID is ended.
    """
    process = None
    try:
        # A program that runs before it can be named cannot be ended.
        with interrupts_held():
            process = _start(argv, env, cwd, hint, orphaned, umask)
        stdout, tail = _follow(process, stdin, deadline, on_line, cancel)
    except _CancelSeen:
        raise Cancelled(f"`{argv[0]}` was given up") from None
    except _DeadlinePassed as passed:
        raise ToolFailed(argv, 124, f"{passed}\nit did not end within {deadline:.0f} s", hint=hint) from None
    except _TooMuchSaid as much:
        text = f"{much}\nit said more than {MOST_SAID // 2**20} MiB and was ended"
        raise ToolFailed(argv, 125, text, hint=hint) from None
    finally:
        if process is not None:
            _end_group(process, grace, on_end, kill)
    if process.returncode != 0:
        raise ToolFailed(argv, process.returncode, tail, hint=hint)
    return stdout


def _start(
    argv: Sequence[str],
    env: Mapping[str, str] | None,
    cwd: Path | None,
    hint: str,
    orphaned: signal.Signals,
    umask: int,
) -> subprocess.Popen[str]:
    environment = {**os.environ, **(env or {})}
    try:
        return subprocess.Popen(
            bound(argv, environment, cwd, orphaned),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=environment,
            cwd=cwd,
            umask=umask,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        if cwd is not None and not cwd.is_dir():
            raise LabError(f"the folder {cwd} does not exist", hint=hint) from error
        raise MissingTool(f"the program `{argv[0]}` is not installed", hint="kubelab doctor --fix") from None
    except OSError as error:
        raise ToolFailed(argv, 126, f"it could not be started: {error.strerror}", hint=hint) from error


def bound(
    argv: Sequence[str],
    environment: Mapping[str, str],
    cwd: Path | None = None,
    orphaned: signal.Signals = signal.SIGKILL,
) -> list[str]:
    """Return `argv` so that the kernel sends it `orphaned` once its starter is gone, where it can be."""
    binder = _binder(os.environ.get("PATH"))
    program = str((cwd or Path()) / argv[0]) if "/" in argv[0] else argv[0]
    # What cannot be started is left to Popen, whose error says why.
    if binder is None or shutil.which(program, path=environment.get("PATH")) is None:
        return list(argv)
    return [binder, "--pdeathsig", orphaned.name.removeprefix("SIG"), "--", *argv]


# Where PATH has it is asked for every program that is started.
@functools.cache
def _binder(path: str | None) -> str | None:
    return shutil.which("setpriv", path=path)


class _DeadlinePassed(Exception):
    pass


class _TooMuchSaid(Exception):
    pass


class _CancelSeen(Exception):
    pass


def _follow(
    process: subprocess.Popen[str],
    stdin: str,
    deadline: float,
    on_line: Callable[[str], None] | None,
    cancel: threading.Event | None,
) -> tuple[str, str]:
    """Return all of stdout and the last lines of what says why it failed, once the process ended.

    Those are stderr's, or stdout's where stderr is empty.
    """
    lines: _Lines = queue.Queue()
    streams = {"out": process.stdout, "err": process.stderr}
    for name, stream in streams.items():
        assert stream is not None
        threading.Thread(target=_pump, args=(name, stream, lines), daemon=True).start()
    threading.Thread(target=_feed, args=(process, stdin), daemon=True).start()
    end = time.monotonic() + deadline
    out: list[str] = []
    tails: dict[str, deque[str]] = {name: deque(maxlen=KEPT_LINES) for name in streams}
    open_streams = len(streams)
    quiet = 0.0
    while open_streams or process.poll() is None:
        if cancel is not None and cancel.is_set():
            raise _CancelSeen
        if time.monotonic() > end:
            raise _DeadlinePassed(_why(tails))
        if not open_streams:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(POLL)
            continue
        try:
            item = lines.get(timeout=POLL)
        except queue.Empty:
            quiet += POLL if process.poll() is not None else 0.0
            if quiet >= DRAIN_GRACE:
                break
            continue
        if item is None:
            open_streams -= 1
            continue
        name, line = item
        if line is None:
            raise _TooMuchSaid(_why(tails))
        tails[name].append(line)
        if name == "out":
            out.append(line)
        if on_line is not None:
            on_line(line.rstrip("\n"))
    return "".join(out), _why(tails)


def _why(tails: Mapping[str, Iterable[str]]) -> str:
    stderr = "".join(tails["err"])
    return stderr if stderr.strip() else "".join(tails["out"])


def _pump(name: str, stream: IO[str], lines: _Lines) -> None:
    said = 0
    with stream:
        for line in iter(partial(stream.readline, LONGEST_LINE), ""):
            said += len(line) + LINE_COST
            if said > MOST_SAID:
                lines.put((name, None))
                break
            lines.put((name, line))
    lines.put(None)


def _feed(process: subprocess.Popen[str], stdin: str) -> None:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError), process.stdin as pipe:
        pipe.write(stdin)


def _end_group(
    process: subprocess.Popen[str], grace: float, on_end: Callable[[], None] | None, kill: Kill
) -> None:
    """End a program that still runs, with all of its group: politely first."""
    if process.poll() is not None:
        return
    try:
        if on_end is not None:
            on_end()
        _signal_group(process, signal.SIGTERM, grace, kill)
    finally:
        # Sent even if the first signal ended the leader: its children may have ignored it.
        _signal_group(process, signal.SIGKILL, KILL_GRACE, kill)


def _signal_group(process: subprocess.Popen[str], number: signal.Signals, wait: float, kill: Kill) -> None:
    # A program may have become another user's. Why it is ended is what the caller has to learn.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        kill(process.pid, number)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(wait)
