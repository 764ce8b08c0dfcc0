"""A runner with a script of answers."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from provision.errors import CommandFailed, Result
from provision.node.runner import Runner

OK = Result("", "", 0)
FAILED = Result("", "it went wrong\n", 1)


@dataclass(frozen=True)
class Call:
    """One command a runner was given: an argv is joined into one line, a script stays as it is."""

    command: str
    sudo: bool
    stdin: str
    deadline: float
    what: str


Answer = Result | Exception | Callable[[Call], Result]
Matcher = str | Callable[[Call], bool]


class FakeRunner:
    """Answers each command by the first entry of its script that matches; any other is a failed test.

    A matcher is a part of the command, or a function. `files` is what `put` wrote and `get` reads,
    `modes` the mode of each file that was put.
    """

    def __init__(self, node: str, script: Iterable[tuple[Matcher, Answer]] = ()) -> None:
        self.node = node
        self.script = list(script)
        self.calls: list[Call] = []
        self.files: dict[str, bytes] = {}
        self.modes: dict[str, int] = {}

    def run(
        self,
        command: str | Sequence[str],
        *,
        sudo: bool = True,
        stdin: str = "",
        deadline: float = 60.0,
        check: bool = True,
        what: str = "",
    ) -> Result:
        text = command if isinstance(command, str) else shlex.join(command)
        call = Call(text, sudo, stdin, deadline, what)
        self.calls.append(call)
        result = self._answer(call)
        if check and not result.ok:
            raise CommandFailed(self.node, what or text[:60], result)
        return result

    def put(self, content: str | bytes, path: str, *, mode: int = 0o644) -> None:
        self.files[path] = content.encode() if isinstance(content, str) else content
        self.modes[path] = mode

    def get(self, path: str) -> bytes:
        if path not in self.files:
            raise CommandFailed(self.node, f"read {path}", Result("", f"cat: {path}: No such file\n", 1))
        return self.files[path]

    def shell(self) -> FakeShell:
        return FakeShell(self)

    def commands(self, part: str = "") -> list[str]:
        """Return the commands that contain `part`, in order."""
        return [call.command for call in self.calls if part in call.command]

    def _answer(self, call: Call) -> Result:
        for matcher, answer in self.script:
            if matcher(call) if callable(matcher) else matcher in call.command:
                if isinstance(answer, Exception):
                    raise answer
                return answer(call) if callable(answer) else answer
        raise AssertionError(f"{self.node}: unscripted command:\n{call.command}")


@dataclass(frozen=True)
class FakeShell:
    """A shell whose commands are answered, and noted, as those of its runner."""

    runner: Runner

    def run(self, command: str, deadline: float) -> tuple[bytes, bytes, int]:
        result = self.runner.run(command, deadline=deadline, check=False)
        return result.stdout.encode(), result.stderr.encode(), result.code

    def close(self) -> None:
        return


def in_turn(*results: Result) -> Callable[[Call], Result]:
    """Answer with each result once, then with the last one for ever."""
    left = list(results)
    return lambda call: left.pop(0) if len(left) > 1 else left[0]
