"""Commands of this host, and logins of the fresh machine's user: streamed, with a deadline, ended."""

from __future__ import annotations

import contextlib
import os
import queue
import secrets
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from typing import Self

from provision.host.process import run_tool
from tests.newcomer.log import Log


class Failed(Exception):
    """A command ended otherwise than it had to."""


def run(argv: Sequence[str], log: Log, deadline: float = 60.0, stdin: str = "") -> str:
    """Run a program on this host, its lines in the log; return its output. Raises LabError."""
    return run_tool(argv, deadline=deadline, stdin=stdin, on_line=log)


class Session:
    """One login of a user, whose commands run one after another in the same shell.

    `argv` starts a shell that reads its commands from standard input. Ended with the `with` block.
    """

    def __init__(self, argv: Sequence[str], log: Log) -> None:
        self._argv = list(argv)
        self._log = log
        self._lines: queue.Queue[str | None] = queue.Queue()

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        threading.Thread(target=self._pump, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _pump(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def run(self, command: str, deadline: float, expected: int = 0) -> str:
        """Run one line of shell and return its output; raises Failed unless it ends as `expected`."""
        mark = secrets.token_hex(8)
        self._log(f"$ {command}")
        assert self._process.stdin is not None
        began = time.monotonic()
        self._process.stdin.write(f"{{ {command}\n}} </dev/null; echo {mark} $?\n")
        self._process.stdin.flush()
        output: list[str] = []
        while True:
            left = began + deadline - time.monotonic()
            try:
                line = self._lines.get(timeout=max(left, 0.001))
            except queue.Empty:
                raise Failed(f"`{command}` did not end within {deadline:.0f} s") from None
            if line is None:
                raise Failed(f"the session ended in `{command}`")
            if line.startswith(mark):
                code = int(line.split()[1])
                break
            # The last line of a command may lack its end.
            if mark in line:
                text, _, rest = line.partition(mark)
                output.append(text)
                code = int(rest)
                break
            output.append(line)
            self._log(f"    {line}")
        self._log(f"ended with exit code {code} after {time.monotonic() - began:.0f} s: {command}")
        if code != expected:
            raise Failed(f"`{command}` ended with exit code {code}, not {expected}")
        return "\n".join(output)
