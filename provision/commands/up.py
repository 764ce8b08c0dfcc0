"""`kubelab up`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable

import click

from provision.commands.common import Options, common_options, reporting
from provision.commands.completing import steps


def _asking(options: Options, *, restart: bool) -> Callable[[str], bool] | None:
    """Return what answers whether machines may be restarted; None where nobody can be asked."""
    if restart:
        return lambda question: True
    if options.json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return None
    return click.confirm


@click.command("up", short_help="Create the cluster, or continue creating it.")
@click.option("--from", "from_id", shell_complete=steps, help="Start at this step.")
@click.option("--until", "until_id", shell_complete=steps, help="Stop after this step.")
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
@click.option("--restart", is_flag=True, help="Restart machines for another memory or other CPUs, unasked.")
@common_options
def command(
    options: Options, from_id: str | None, until_id: str | None, dry_run: bool, restart: bool
) -> None:
    """Create the cluster of lab.yaml, or continue creating it.

    Steps that are done already are skipped: on a ready cluster `up` changes nothing. After a failure or
    Ctrl-C, run it again to continue.

    Another memory or other CPUs in lab.yaml are applied by restarting machines, one after the other: on a
    terminal `up` asks before, elsewhere it wants --restart.
    """
    from provision.host.facts import gather
    from provision.lab.opening import open_lab, read_lab
    from provision.lifecycle.consent import require_consent
    from provision.lifecycle.start import go_on
    from provision.lifecycle.up import dry_run as plan
    from provision.lifecycle.up import up
    from provision.snapshots.recovery import recover

    words = ["kubelab", "up", *(["--restart"] if restart else []), *options.file_words()]
    options.resume = shlex.join(words)
    with reporting(options) as early:
        facts = gather()
        config, workspace = read_lab(options.file, facts=facts)
        early.close()
        with reporting(options, workspace) as report:
            lab = open_lab(config, workspace, report, options.cancel, facts)
            if dry_run:
                plan(lab, from_id, until_id)
            else:
                require_consent(lab, _asking(options, restart=restart))
                with workspace.lock():
                    recover(lab)
                    go_on(lab, options.file)
                    up(lab, report, options.file, from_id, until_id)
