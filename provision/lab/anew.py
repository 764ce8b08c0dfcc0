"""The workers that have to be made anew, to have the disks that lab.yaml says."""

from __future__ import annotations

from provision.config.inventory import Node
from provision.lab.context import Context
from provision.lab.sizes import as_made


def made_anew(ctx: Context) -> list[Node]:
    """Return the workers whose turn it is, the highest number first; without a turn, all that have to be."""
    names = {name for each in as_made(ctx) if each.anew for name in each.machines}
    turn = names & {ctx.turn} if ctx.turn else names
    return [node for node in reversed(ctx.inventory.workers) if node.name in turn]
