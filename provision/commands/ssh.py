"""`kubelab ssh`."""

from __future__ import annotations

import os
import shlex

import click

from provision.commands.common import Options, common_options, recover_interrupted, reporting


@click.command(
    "ssh",
    short_help="Open a shell on a node, or run a command there.",
    context_settings={"ignore_unknown_options": True},
)
@common_options
@click.argument("node")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(options: Options, node: str, arguments: tuple[str, ...]) -> None:
    """Open a shell on NODE, or run a command there: kubelab ssh lab-w1 -- uptime."""
    from provision.config.inventory import inventory_of
    from provision.errors import LabError, MissingTool
    from provision.lab.opening import open_lab, read_lab

    with reporting(options) as report:
        config, workspace = read_lab(options.file)
        name = inventory_of(config).node(node).name
        if not workspace.ssh_config.exists():
            raise LabError(f"the lab {config.name} has no machines yet", hint="kubelab up")
        if workspace.journal.exists():
            recover_interrupted(open_lab(config, workspace, report, options.cancel))
        remote = [shlex.join(arguments)] if arguments else []
        report.close()
        try:
            os.execvp("ssh", ["ssh", "-F", str(workspace.ssh_config), name, *remote])
        except FileNotFoundError:
            raise MissingTool("the program `ssh` is not installed", hint="kubelab doctor --fix") from None
