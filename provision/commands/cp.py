"""`kubelab cp`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from provision.commands.common import Options, common_options
from provision.commands.completing import paths
from provision.commands.openssh import Words, hand_over

if TYPE_CHECKING:
    from provision.config.inventory import Inventory


@click.command("cp", short_help="Copy files to a node, from it, or between nodes.")
@click.option("--recursive", "-r", is_flag=True, help="Copy folders with all that is in them.")
@click.argument("source", shell_complete=paths)
@click.argument("target", shell_complete=paths)
@common_options
def command(options: Options, recursive: bool, source: str, target: str) -> None:
    """Copy SOURCE to TARGET, at least one of which is NODE:PATH.

    \b
    kubelab cp notes.txt lab-w1:
    kubelab cp -r lab-cp1:/var/log/pods ./pods

    A PATH that does not begin with / is in the home folder of the user vagrant, who reads and writes there.
    In the PATH of a SOURCE * and ? stand for any characters. A file of your own with a colon in its name is
    ./FILE.
    """

    def words(inventory: Inventory) -> Words:
        nodes = [_node_in(path, inventory) for path in (source, target)]
        remote = [name for name in nodes if name]
        if not remote:
            raise click.UsageError("neither SOURCE nor TARGET is on a node: write NODE:PATH")
        # By SFTP, in which no shell of the node reads the path; between nodes by way of this host, as they
        # do not let each other in.
        flags = ["-s", *(["-3"] if len(remote) > 1 else []), *(["-r"] if recursive else [])]
        where = [
            f"{name}:{path.partition(':')[2]}" if name else path
            for name, path in zip(nodes, (source, target), strict=True)
        ]
        return Words([*flags, "--", *where], remote)

    hand_over(options, "scp", words)


def _node_in(path: str, inventory: Inventory) -> str:
    """Return the node that a path is on, or an empty string; raises ConfigError for one that is not there."""
    name, colon, _ = path.partition(":")
    return inventory.node(name).name if colon and name and "/" not in name else ""
