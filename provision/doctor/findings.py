"""What a check says: a finding, and the commands which mend it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from provision.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Callable

    from provision.doctor.tools import Host

Level = Literal["ok", "info", "warn", "fail"]


@dataclass(frozen=True)
class Command:
    """One command that mends something: what is shown to the user is what `fix` runs.

    `deadline` is in seconds. `root` says that it needs root, so it goes through sudo for others. Ctrl-C waits
    for the end of one that is to be done `whole`.
    """

    argv: tuple[str, ...]
    deadline: float = 60.0
    stdin: str = ""
    root: bool = True
    whole: bool = False

    def line(self, *, is_root: bool) -> str:
        """Return the command as text that can be pasted into a shell."""
        words = ("sudo", *self.argv) if self.root and not is_root else self.argv
        line = shlex.join(words)
        if self.stdin:
            return f"printf '%s\\n' {shlex.join(self.stdin.splitlines())} | {line}"
        return line


def shell(script: str, *, deadline: float = 60.0, whole: bool = False) -> Command:
    """Return the command that runs a shell script as root."""
    return Command(("sh", "-c", script), deadline, whole=whole)


@dataclass(frozen=True)
class Finding:
    """What one check found; `fixes` are run in order by `doctor --fix`, `by_hand` is shown, to be typed."""

    id: str
    title: str
    level: Level
    message: str
    fixes: tuple[Command, ...] = ()
    by_hand: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Return whether the lab can be made as far as this check sees."""
        return self.level in ("ok", "info")


@dataclass(frozen=True)
class Check:
    """A question to the host.

    `essential` ones are asked by every `up`, so they are quick. Where a `gate` fails nothing else is mended.
    """

    id: str
    title: str
    probe: Callable[[Host], Answer]
    essential: bool = True
    gate: bool = False

    def ask(self, host: Host) -> Finding:
        """Return what the check finds on `host`; a probe that cannot be made is a failure too."""
        try:
            answer = self.probe(host)
        except LabError as error:
            answer = bad(f"cannot be checked: {error}")
        return Finding(self.id, self.title, answer.level, answer.message, answer.fixes, answer.by_hand)


@dataclass(frozen=True)
class Answer:
    """What a probe found, before it is given the check's id and title."""

    level: Level
    message: str
    fixes: tuple[Command, ...] = ()
    by_hand: tuple[str, ...] = ()


def good(message: str) -> Answer:
    """Return the answer that nothing is wrong."""
    return Answer("ok", message)


def bad(message: str, *fixes: Command) -> Answer:
    """Return the answer that the lab cannot be made, with what mends it."""
    return Answer("fail", message, fixes)
