"""`kubelab diff`."""

from __future__ import annotations

import sys

import click

from provision.commands.common import Options, common_options, reporting


@click.command("diff", short_help="Show where lab.yaml and the lab differ.")
@common_options
def command(options: Options) -> None:
    """Show where lab.yaml and the lab differ, and whether `up` applies or refuses it; nothing is changed.

    The exit code is 0 without a difference, 1 with one, 2 for a lab.yaml that is wrong.
    """
    from provision.lab.opening import open_lab, read_lab
    from provision.status.diff import find, show

    with reporting(options) as report:
        config, workspace = read_lab(options.file)
        lab = open_lab(config, workspace, report, options.cancel)
        found = find(lab, config)
        show(lab, found)
    sys.exit(1 if found.differences else 0)
