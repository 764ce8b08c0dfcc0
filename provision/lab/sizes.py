"""The machines of a lab that have other CPUs or another memory than lab.yaml says."""

from __future__ import annotations

from provision.config.inventory import Node
from provision.lab.context import Context
from provision.lab.differences import Difference, compare_sizes


def other_sizes(ctx: Context) -> list[Difference]:
    """Return where lab.yaml asks for another size that a restart brings about; asks the hypervisor."""
    return [each for each in as_made(ctx) if each.restarts]


def as_made(ctx: Context) -> list[Difference]:
    """Return all sizes in which machines that are there differ from lab.yaml; asks the hypervisor."""
    made = ctx.provider.made(ctx.config, ctx.machines.known_ids())
    return compare_sizes(ctx.config, ctx.inventory, made).differences


def nodes_of(ctx: Context, differences: list[Difference]) -> list[Node]:
    """Return the nodes whose machines differ, in the order in which they are restarted."""
    names = {name for each in differences for name in each.machines}
    return [node for node in ctx.inventory.nodes if node.name in names]
