"""`kubelab status`."""

from __future__ import annotations

import sys

import click

from provision.commands.common import Options, common_options, reporting


@click.command("status", short_help="Show machines, nodes and pods.")
@common_options
def command(options: Options) -> None:
    """Show the lab's machines, nodes, and what is not ready; exit code 0 only when all is well."""
    from provision.lab import open_lab, read_lab
    from provision.snapshot_journal import tell
    from provision.status import status

    with reporting(options) as report:
        config, workspace = read_lab(options.file)
        tell(workspace, report)
        healthy = status(open_lab(config, workspace, report, options.cancel))
    sys.exit(0 if healthy else 1)
