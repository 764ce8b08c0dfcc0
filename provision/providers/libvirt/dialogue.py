"""Programs that read commands from standard input: all are asked at once, and each answer is timed.

A program that is already started and connected answers within milliseconds. Starting one for a single
command takes ten times as long, and varies.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Event

from provision.errors import Cancelled, MissingTool, ToolFailed
from provision.host.process import bound

POLL = 0.2
_CHUNK = 65536


@dataclass(frozen=True)
class Answer:
    """What a program said, and the monotonic second at which it had said it."""

    text: str
    moment: float


class Dialogue:
    """One such program; it ends with the `with` block. It prints `mark` after every answer."""

    def __init__(self, argv: Sequence[str], mark: str, env: Mapping[str, str]) -> None:
        self.argv = tuple(argv)
        self.mark = mark.encode()
        self.buffer = b""
        environment = {**os.environ, **env}
        try:
            # A session of its own: Ctrl-C is for kubelab, which then ends this one itself.
            self.process = subprocess.Popen(
                bound(argv, environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                bufsize=0,
                env=environment,
                start_new_session=True,
            )
        except FileNotFoundError:
            raise MissingTool(
                f"the program `{argv[0]}` is not installed", hint="kubelab doctor --fix"
            ) from None

    def __enter__(self) -> Dialogue:
        return self

    def __exit__(self, *unused: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()

    def send(self, line: str) -> None:
        """Send one line; raises ToolFailed when the program is gone."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(f"{line}\n".encode())
        except BrokenPipeError:
            raise self.failed("it ended before it answered") from None

    def take(self) -> str | None:
        """Read what is there; return the text before the mark once it came, else None."""
        assert self.process.stdout is not None
        chunk = os.read(self.process.stdout.fileno(), _CHUNK)
        self.buffer += chunk
        text, found, rest = self.buffer.partition(self.mark)
        if found:
            self.buffer = rest
            return text.decode(errors="replace")
        if not chunk:
            raise self.failed("it ended before it answered")
        return None

    def failed(self, why: str) -> ToolFailed:
        """Return the error that says `why`, with what the program said last."""
        return ToolFailed(self.argv, 1, f"{self.buffer.decode(errors='replace')}\n{why}")


def ask_all(
    dialogues: Mapping[str, Dialogue], lines: Mapping[str, str], *, deadline: float, cancel: Event
) -> dict[str, Answer]:
    """Send every dialogue its line at once; return the answers by the same names.

    `deadline` is for all of them, in seconds. Raises ToolFailed, Cancelled.
    """
    answers: dict[str, Answer] = {}
    end = time.monotonic() + deadline
    with selectors.DefaultSelector() as selector:
        for name, dialogue in dialogues.items():
            assert dialogue.process.stdout is not None
            selector.register(dialogue.process.stdout, selectors.EVENT_READ, name)
        for name, dialogue in dialogues.items():
            dialogue.send(lines[name])
        while len(answers) < len(dialogues):
            if cancel.is_set():
                raise Cancelled("given up")
            if time.monotonic() > end:
                late = next(name for name in dialogues if name not in answers)
                raise dialogues[late].failed(f"it did not answer within {deadline:.0f} s")
            for key, _ in selector.select(POLL):
                text = dialogues[key.data].take()
                if text is not None:
                    answers[key.data] = Answer(text, time.monotonic())
                    selector.unregister(key.fileobj)
    return answers
