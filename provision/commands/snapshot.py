"""`kubelab snapshot`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from provision.commands.common import Options, common_options, recover_interrupted, reporting
from provision.commands.completing import snapshots

if TYPE_CHECKING:
    from provision.lab.context import Context


@click.group("snapshot", short_help="Save the whole lab at one point in time, and restore it.")
def command() -> None:
    """A snapshot has the state of all machines of a lab at one point in time, memory included.

    Either all machines are saved or restored, or none.
    """


@contextmanager
def changing(options: Options, *, restoring: str = "") -> Iterator[Context]:
    """Give the lab with its lock held, after recovering from an interrupted command (see recover)."""
    from provision.lab.opening import open_lab, read_lab
    from provision.snapshots.recovery import recover

    with reporting(options) as early:
        config, workspace = read_lab(options.file)
        early.close()
        with reporting(options, workspace) as report, workspace.lock():
            lab = open_lab(config, workspace, report, options.cancel)
            recover(lab, restoring=restoring)
            yield lab


@contextmanager
def reading(options: Options) -> Iterator[Context]:
    """Give the lab for reading, after recovering from an interrupted command."""
    from provision.lab.opening import open_lab, read_lab
    from provision.snapshots.journal import report_unfinished

    with reporting(options) as report:
        config, workspace = read_lab(options.file)
        lab = open_lab(config, workspace, report, options.cancel)
        recover_interrupted(lab)
        report_unfinished(workspace, report)
        yield lab


@command.command("save")
@click.argument("name")
@click.option("--note", default="", help="A description, shown by `list` and `show`.")
@common_options
def save_command(options: Options, name: str, note: str) -> None:
    """Save the lab as NAME: disks and memory of all machines, at one point in time.

    The machines are paused for some seconds. If they are powered off, only the disks are saved.
    """
    from provision.snapshots.commands import save
    from provision.snapshots.manifests import check_note
    from provision.snapshots.names import check_name

    with reporting(options):
        check_name(name)
        check_note(note)
    with changing(options) as lab:
        save(lab, name, note)


@command.command("restore")
@click.argument("name", shell_complete=snapshots)
@click.option("--save-first", metavar="NAME", help="First save the present state under this name.")
@common_options
def restore_command(options: Options, name: str, save_first: str | None) -> None:
    """Restore the snapshot NAME, repair what the jump in time broke, and verify the cluster.

    Everything that changed since is lost, unless --save-first saves it.
    """
    from provision.snapshots.commands import restore
    from provision.snapshots.names import check_name

    with reporting(options):
        for each in (name, *([save_first] if save_first else [])):
            check_name(each)
    with changing(options, restoring="" if save_first else name) as lab:
        restore(lab, name, options.file, save_first)


@command.command("delete")
@click.argument("names", nargs=-1, shell_complete=snapshots)
@click.option("--children", is_flag=True, help="Also delete the snapshots that are based on them.")
@click.option(
    "--keep",
    type=click.IntRange(min=0),
    metavar="N",
    help="Keep `ready` and the newest N, delete the others.",
)
@common_options
def delete_command(options: Options, names: tuple[str, ...], children: bool, keep: int | None) -> None:
    """Delete the snapshots NAMES, or with --keep N all but `ready` and the newest N.

    A snapshot that others are based on is not deleted, unless --children is given.
    """
    from provision.snapshots.commands import delete, delete_oldest

    if bool(names) == (keep is not None):
        raise click.UsageError("give either NAMES or --keep N")
    with changing(options) as lab:
        if keep is not None:
            delete_oldest(lab, keep)
        else:
            delete(lab, names, children=children)


@command.command("list")
@common_options
def list_command(options: Options) -> None:
    """List the snapshots as a tree, with the current one, and those that cannot be restored."""
    from provision.snapshots.listing import show_all

    with reading(options) as lab:
        show_all(lab)


@command.command("show")
@click.argument("name", shell_complete=snapshots)
@common_options
def show_command(options: Options, name: str) -> None:
    """Show everything about the snapshot NAME."""
    from provision.snapshots.listing import show_one

    with reading(options) as lab:
        show_one(lab, name)
