"""`kubelab status`."""

from __future__ import annotations

import os
import sys

import click

from provision.commands.common import Options, common_options, recover_interrupted, reporting


@click.command("status", short_help="Show machines, nodes and pods.")
@click.option("--watch", is_flag=True, help="Show it again every few seconds until Ctrl-C.")
@common_options
def command(options: Options, watch: bool) -> None:
    """Show the lab's machines, nodes and control plane, and what is not ready.

    The exit code is 0 only when the lab is healthy.

    --watch redraws the screen on a terminal; elsewhere it prints the status again when it changed.
    """
    from provision.lab.opening import open_lab, read_lab
    from provision.status.gather import gather
    from provision.status.screen import show
    from provision.status.screen import watch as watch_lab

    with reporting(options) as report:
        config, workspace = read_lab(options.file)
        lab = open_lab(config, workspace, report, options.cancel)
        recover_interrupted(lab)
        if watch:
            terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
            watch_lab(lab, redraw=terminal and not options.json, failure=lambda: report.failure)
        found = gather(lab)
        show(lab, found)
    sys.exit(0 if found.healthy else 1)
