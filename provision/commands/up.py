"""`kubelab up`."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import click

from provision.commands.common import Options, common_options, reporting
from provision.commands.completing import steps
from provision.commands.consent import Agree, agreed, asking

if TYPE_CHECKING:
    from provision.lab.context import Context
    from provision.report.tee import TeeReporter


@click.command("up", short_help="Create the cluster, or continue creating it.")
@click.option("--from", "from_id", shell_complete=steps, help="Start at this step.")
@click.option("--until", "until_id", shell_complete=steps, help="Stop after this step.")
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
@click.option("--yes", is_flag=True, help="Remove workers, or make them anew, without asking.")
@click.option("--force", is_flag=True, help="Do so though pods are lost, or budgets broken.")
@click.option("--restart", is_flag=True, help="Restart machines for another memory or other CPUs, unasked.")
@common_options
def command(
    options: Options,
    from_id: str | None,
    until_id: str | None,
    dry_run: bool,
    yes: bool,
    force: bool,
    restart: bool,
) -> None:
    """Create the cluster of lab.yaml, or continue creating it.

    Steps that are done already are skipped: on a ready cluster `up` changes nothing. After a failure or
    Ctrl-C, run it again to continue.

    Where lab.yaml has fewer workers than the lab, the highest-numbered ones are drained and removed, after a
    question. Workers that get other disks are made anew, one after the other, after a question too. Another
    memory or other CPUs are applied by restarting machines, one after the other: on a terminal `up` asks
    before, elsewhere it wants --restart.
    """
    from provision.lifecycle.up import dry_run as plan
    from provision.lifecycle.up import up

    given = {"--yes": yes, "--force": force, "--restart": restart}
    flags = [flag for flag, is_given in given.items() if is_given]
    options.resume = shlex.join(["kubelab", "up", *flags, *options.file_words()])
    agree = agreed(options, yes=yes or dry_run, words=["kubelab", "up", *flags])
    with making(options, agree, force=force, restart=restart, locked=not dry_run) as (lab, report):
        if dry_run:
            plan(lab, from_id, until_id)
        else:
            up(lab, report, options.file, from_id, until_id)


@contextmanager
def making(
    options: Options,
    agree: Agree,
    *,
    force: bool = False,
    restart: bool = False,
    locked: bool = True,
    workers: int | None = None,
    addons: tuple[str, ...] | None = None,
) -> Iterator[tuple[Context, TeeReporter]]:
    """Give a lab that is to be made as lab.yaml says, and its reporter.

    In place of what lab.yaml says, it is made with that many `workers`, or with these `addons`. Its lock is
    held (`locked`), and what was interrupted before is done. Whether machines may be restarted for another
    size is asked before, but for `restart`.
    """
    from provision.config.edit import with_count
    from provision.host.facts import gather
    from provision.lab.opening import open_lab, read_lab
    from provision.lifecycle.consent import require_consent
    from provision.lifecycle.start import go_on
    from provision.snapshots.recovery import recover

    with reporting(options) as early:
        facts = gather()
        config, workspace = read_lab(options.file, facts=facts)
        if workers is not None:
            config = with_count(config, workers)
        if addons is not None:
            config = config.model_copy(update={"addons": addons})
        early.close()
        with reporting(options, workspace) as report:
            lab = open_lab(config, workspace, report, options.cancel, facts, agree)
            lab = dataclasses.replace(lab, force=force)
            if locked:
                require_consent(lab, asking(options, yes=restart))
            with workspace.lock() if locked else nullcontext():
                if locked:
                    recover(lab)
                    go_on(lab, options.file)
                yield lab, report
