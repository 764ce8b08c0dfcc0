"""The workers that have to be made anew, to have the disks that lab.yaml says."""

from __future__ import annotations

from provision.lab.context import Context
from provision.lab.differences import Difference, by_number, compare_sizes


def other_disks(ctx: Context) -> list[Difference]:
    """Return where lab.yaml asks for other disks of workers that are there; asks the hypervisor."""
    made = ctx.provider.made(ctx.config, ctx.machines.ids())
    return [each for each in compare_sizes(ctx.config, ctx.inventory, made).differences if each.anew]


def made_anew(ctx: Context) -> list[str]:
    """Return the workers whose turn it is, the highest number first; without a turn, all."""
    names = {name for each in other_disks(ctx) for name in each.machines}
    turn = names & {ctx.turn} if ctx.turn else names
    return sorted(turn, key=by_number, reverse=True)
