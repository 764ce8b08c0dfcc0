"""`kubelab addon`."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from provision.commands.common import Options, common_options, reporting
from provision.commands.completing import addons
from provision.commands.consent import agreed

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMES = click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=addons)


@click.group("addon", short_help="List add-ons, and put them into the lab or take them out.")
def command() -> None:
    """What a lab has beside its cluster, as `addons` in lab.yaml says."""


@command.command("list")
@common_options
def list_command(options: Options) -> None:
    """List every add-on: whether lab.yaml has it, how it is, and what it is for."""
    from provision.commands.snapshot import reading
    from provision.status.addons import show_addons
    from provision.status.gather import gather_workloads

    with reading(options) as lab:
        show_addons(lab, gather_workloads(lab))


@command.command("enable")
@NAMES
@common_options
def enable_command(options: Options, names: tuple[str, ...]) -> None:
    """Add NAME... to `addons` in lab.yaml, and run `up`, which brings their images and makes their objects.

    Before the lab is there, only the file is changed.
    """
    _change(options, added=names)


@command.command("disable")
@NAMES
@common_options
def disable_command(options: Options, names: tuple[str, ...]) -> None:
    """Take NAME... out of `addons` in lab.yaml, and run `up`, which deletes their objects.

    One whose data is in use stays, and so does the file.
    """
    _change(options, removed=names)


def _change(options: Options, added: Sequence[str] = (), removed: Sequence[str] = ()) -> None:
    from provision.commands.up import making
    from provision.lab.opening import read_lab
    from provision.lifecycle.addons import changed, write
    from provision.lifecycle.up import up

    options.resume = shlex.join(["kubelab", "up", *options.file_words()])
    with reporting(options) as report:
        config, workspace = read_lab(options.file)
        # Before anything is done: what cannot be written or be had is told now.
        names, text = changed(options.file, config, added, removed)
        if not workspace.has_machines():
            with workspace.lock():
                write(options.file, names, text, report)
            report.result({"addons": list(names), "changed": ["addons"] if text else []})
            report.next_commands([options.resume])
            return
    agree = agreed(options, yes=False, words=["kubelab", "up"])
    with making(options, agree, addons=names) as (lab, made):
        write(options.file, names, text, made)
        up(lab, made, options.file)
