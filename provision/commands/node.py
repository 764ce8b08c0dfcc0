"""`kubelab node`."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from provision.commands.common import Options, common_options, reporting
from provision.commands.completing import nodes
from provision.commands.consent import agreed

if TYPE_CHECKING:
    from provision.lab.context import Context


@click.group("node", short_help="List, add, remove, drain, stop and start single nodes.")
def command() -> None:
    """One node at a time, while the others run on."""


@command.command("list")
@common_options
def list_command(options: Options) -> None:
    """List the nodes: address, machine, Ready, cordoned, version; also where the cluster does not answer."""
    from provision.commands.snapshot import reading
    from provision.status.nodes import show_nodes

    with reading(options) as lab:
        show_nodes(lab)


@command.command("add")
@click.option("--count", type=click.IntRange(min=1), default=1, show_default=True, help="How many.")
@common_options
def add_command(options: Options, count: int) -> None:
    """Raise `workers.count` in lab.yaml, and make the new workers as `up` does.

    Only that number is changed in the file. After a failure `kubelab up` goes on.
    """
    from provision.commands.up import making
    from provision.config.edit import with_workers
    from provision.host.facts import gather
    from provision.host.fit import check_host
    from provision.lab.opening import read_lab
    from provision.lifecycle.scale import write_count
    from provision.lifecycle.up import up

    options.resume = shlex.join(["kubelab", "up", *options.file_words()])
    with reporting(options) as report:
        config, workspace = read_lab(options.file)
        text, wanted = with_workers(options.file, config.workers.count + count)
        check_host(wanted, gather())
        with workspace.lock():
            write_count(options.file, text, wanted, report)
    with making(options, agreed(options, yes=False, words=["kubelab", "up"])) as (lab, made):
        up(lab, made, options.file)


@command.command("remove")
@click.argument("name", shell_complete=nodes)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Remove it though pods are lost, or budgets broken.")
@common_options
def remove_command(options: Options, name: str, yes: bool, force: bool) -> None:
    """Drain the last worker and remove it, then lower `workers.count` in lab.yaml and run `up`.

    Another worker than the last cannot go: lab.yaml says how many there are, not which.
    """
    from provision.commands.up import making
    from provision.config.edit import with_workers
    from provision.lab.opening import read_lab
    from provision.lifecycle.scale import refuse_to_remove, remove
    from provision.lifecycle.up import up

    words = ["kubelab", "node", "remove", name, *(["--force"] if force else [])]
    options.resume = shlex.join([*words, *(["--yes"] if yes else []), *options.file_words()])
    with reporting(options):
        config, _ = read_lab(options.file)
        refuse_to_remove(config, name)
        # Before anything is removed: what cannot be written afterwards is told now.
        text, wanted = with_workers(options.file, config.workers.count - 1)
    count = wanted.workers.count
    agree = agreed(options, yes=yes, words=words)
    with making(options, agree, force=force, workers=count) as (lab, report):
        remove(lab, options.file, text)
        options.resume = shlex.join(["kubelab", "up", *options.file_words()])
        up(lab, report, options.file)


@command.command("drain")
@click.argument("name", shell_complete=nodes)
@click.option("--force", is_flag=True, help="Also delete pods that are lost by it, or that a budget holds.")
@common_options
def drain_command(options: Options, name: str, force: bool) -> None:
    """Move the pods of NAME to other nodes; it takes no new ones until `kubelab node uncordon NAME`."""
    from provision.lifecycle.one import drain_node

    words = ["drain", name, *(["--force"] if force else [])]
    _of_one(options, words, lambda lab: drain_node(dataclasses.replace(lab, force=force), name))


@command.command("uncordon")
@click.argument("name", shell_complete=nodes)
@common_options
def uncordon_command(options: Options, name: str) -> None:
    """Let NAME take pods again."""
    from provision.lifecycle.one import uncordon_node

    _of_one(options, ["uncordon", name], lambda lab: uncordon_node(lab, name))


@command.command("stop")
@click.argument("name", shell_complete=nodes)
@common_options
def stop_command(options: Options, name: str) -> None:
    """Shut down the machine of NAME; its pods are not drained before."""
    from provision.lifecycle.one import stop_node

    _of_one(options, ["stop", name], lambda lab: stop_node(lab, name))


@command.command("start")
@click.argument("name", shell_complete=nodes)
@common_options
def start_command(options: Options, name: str) -> None:
    """Start the machine of NAME, and wait until the node is Ready."""
    from provision.lifecycle.one import start_node

    _of_one(options, ["start", name], lambda lab: start_node(lab, name))


@command.command("restart")
@click.argument("name", shell_complete=nodes)
@common_options
def restart_command(options: Options, name: str) -> None:
    """Shut down the machine of NAME and start it again, and wait until the node is Ready."""
    from provision.lifecycle.one import restart_node

    _of_one(options, ["restart", name], lambda lab: restart_node(lab, name))


def _of_one(options: Options, words: list[str], work: Callable[[Context], None]) -> None:
    """Do `work` with the lab, its lock held; `words` are those of this command."""
    from provision.commands.snapshot import changing

    options.resume = shlex.join(["kubelab", "node", *words, *options.file_words()])
    with changing(options) as lab:
        work(lab)
