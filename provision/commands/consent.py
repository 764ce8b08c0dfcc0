"""Asks before `up` removes nodes, or makes them anew: on a terminal by a question, elsewhere by `--yes`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from provision.commands.common import Options
from provision.errors import ConfigDrift, LabError

if TYPE_CHECKING:
    from provision.lab.differences import Difference

Agree = Callable[["Difference"], None]


def agreed(options: Options, *, yes: bool, words: Sequence[str]) -> Agree:
    """Return what asks whether machines may be removed, for `open_lab`; `words` are those of the command.

    It raises ConfigDrift where nobody can be asked, and LabError when the answer is no.
    """

    def agree(difference: Difference) -> None:
        if not yes:
            _ask(options, difference, shlex.join([*words, "--yes", *options.file_words()]))

    return agree


def _ask(options: Options, difference: Difference, command: str) -> None:
    names = ", ".join(difference.machines)
    deed = "made anew" if difference.anew else "removed"
    if options.json or not _is_terminal():
        raise ConfigDrift(
            f"the lab has {difference.lab}, lab.yaml says {difference.file}: {names} would be {deed};"
            " all that is on it is lost",
            key=difference.key,
            hint=f"{command} does so; else let lab.yaml say {difference.lab}",
        )
    verb = "Make {} anew" if difference.anew else "Remove {}"
    lost = "All that is on it is lost, and snapshots that have it cannot be restored any more."
    question = f"{verb.format(names)}? {lost}"
    if not click.confirm(question):
        raise LabError(f"nothing was changed: {names} stays", hint=f"let lab.yaml say {difference.lab}")


def asking(options: Options, *, yes: bool) -> Callable[[str], bool] | None:
    """Return what answers a question of `up`: `yes` to all, else the user; None where nobody can be asked."""
    if yes:
        return lambda question: True
    return None if options.json or not _is_terminal() else click.confirm


def _is_terminal() -> bool:
    """Return whether somebody sees the question and can answer it."""
    return sys.stdin.isatty() and sys.stdout.isatty()
