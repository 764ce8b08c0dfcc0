"""`kubelab ssh`."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence

import click

from provision.commands.common import Options, common_options, recover_interrupted, reporting


@click.command(
    "ssh",
    short_help="Open a shell on a node, or run a command there.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@common_options
@click.argument("node")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(options: Options, node: str, arguments: tuple[str, ...]) -> None:
    """Open a shell on NODE, or run a command there: kubelab ssh lab-w1 -- uptime.

    All that follows NODE is the command. One argument is a line for the node's shell, as with ssh itself;
    several are the words of a command, which reach it as they are.
    """
    from provision.config.inventory import inventory_of
    from provision.errors import LabError, MissingTool
    from provision.host.files import PRIVATE, write_atomic
    from provision.lab.opening import open_lab, read_lab
    from provision.ssh.host_keys import ssh_config

    with reporting(options) as report:
        config, workspace = read_lab(options.file)
        inventory = inventory_of(config)
        name = inventory.node(node).name
        if not workspace.ssh_config.exists():
            raise LabError(f"the lab {config.name} has no machines yet", hint="kubelab up")
        if workspace.journal.exists():
            recover_interrupted(open_lab(config, workspace, report, options.cancel))
        # Such a file can name programs to run here: it is made anew, whoever wrote the one in this folder.
        write_atomic(workspace.ssh_config, ssh_config(workspace, inventory), mode=PRIVATE)
        report.close()
        try:
            os.execvp("ssh", ["ssh", "-F", str(workspace.ssh_config), name, *_remote(arguments)])
        except FileNotFoundError:
            raise MissingTool("the program `ssh` is not installed", hint="kubelab doctor --fix") from None


def _remote(arguments: Sequence[str]) -> list[str]:
    """Return what ssh gets after the node's name."""
    words = list(arguments[1:] if arguments[:1] == ("--",) else arguments)
    if not words:
        return []
    return ["--", words[0] if len(words) == 1 else shlex.join(words)]
