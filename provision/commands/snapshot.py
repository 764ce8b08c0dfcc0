"""`kubelab snapshot`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from provision.commands.common import Options, common_options, recover_interrupted, reporting

if TYPE_CHECKING:
    from provision.lab.context import Context


@click.group("snapshot", short_help="Save the whole lab at one point in time, and put it back.")
def command() -> None:
    """A snapshot is one point in time of all machines of a lab, memory included.

    All of them are saved, or none; all are put back, or none.
    """


@contextmanager
def changing(options: Options, *, restoring: bool = False) -> Iterator[Context]:
    """Give the lab with its lock held, once what an interrupted command left is mended."""
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
    """Give the lab to look at, once what an interrupted command left is mended."""
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
@click.option("--note", default="", help="What this point is, for `list` and `show`.")
@common_options
def save_command(options: Options, name: str, note: str) -> None:
    """Save the lab as NAME: disks and memory of all machines, at one point in time.

    The cluster stands still for some seconds and then runs on. A lab that is off is saved without memory.
    """
    from provision.snapshots.commands import save
    from provision.snapshots.manifests import check_name, check_note

    with reporting(options):
        check_name(name)
        check_note(note)
    with changing(options) as lab:
        save(lab, name, note)


@command.command("restore")
@click.argument("name")
@click.option("--save-first", metavar="NAME", help="Save the lab as it is under this name before.")
@common_options
def restore_command(options: Options, name: str, save_first: str | None) -> None:
    """Put the lab back to NAME, repair what the jump in time upset, and verify it.

    What happened since is lost, unless --save-first keeps it.
    """
    from provision.snapshots.commands import restore
    from provision.snapshots.manifests import check_name

    with reporting(options):
        for each in (name, *([save_first] if save_first else [])):
            check_name(each)
    with changing(options, restoring=save_first is None) as lab:
        restore(lab, name, options.file, save_first)


@command.command("delete")
@click.argument("names", nargs=-1)
@click.option("--children", is_flag=True, help="Delete also what was saved on top of them.")
@click.option("--keep", type=click.IntRange(min=0), metavar="N", help="Leave `ready` and the newest N.")
@common_options
def delete_command(options: Options, names: tuple[str, ...], children: bool, keep: int | None) -> None:
    """Delete the snapshots NAMES, or with --keep N all but `ready` and the newest N.

    A snapshot that others were saved on top of is refused with their names, unless --children is given.
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
    """List the snapshots as a tree, the point the lab stands on, and what is wrong with any."""
    from provision.snapshots.listing import show_all

    with reading(options) as lab:
        show_all(lab)


@command.command("show")
@click.argument("name")
@common_options
def show_command(options: Options, name: str) -> None:
    """Show everything about the snapshot NAME."""
    from provision.snapshots.listing import show_one

    with reading(options) as lab:
        show_one(lab, name)
