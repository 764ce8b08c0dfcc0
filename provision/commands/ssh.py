"""`kubelab ssh`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from provision.commands.common import Options, common_options
from provision.commands.completing import nodes
from provision.commands.openssh import Words, hand_over

if TYPE_CHECKING:
    from provision.config.inventory import Inventory


@click.command(
    "ssh",
    short_help="Open a shell on a node, or run a command there.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@common_options
@click.argument("node", shell_complete=nodes)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(options: Options, node: str, arguments: tuple[str, ...]) -> None:
    """Open a shell on NODE, or run a command there: kubelab ssh lab-w1 -- uptime.

    All that follows NODE is the command. One argument is a line for the node's shell, as with ssh itself;
    several are the words of a command, which reach it as they are.
    """

    def words(inventory: Inventory) -> Words:
        name = inventory.node(node).name
        return Words([name, *_remote(arguments)], [name])

    hand_over(options, "ssh", words)


def _remote(arguments: Sequence[str]) -> list[str]:
    """Return what ssh gets after the node's name."""
    words = list(arguments[1:] if arguments[:1] == ("--",) else arguments)
    if not words:
        return []
    return ["--", words[0] if len(words) == 1 else shlex.join(words)]
