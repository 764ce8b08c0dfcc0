"""The cluster's Nodes against lab.yaml: none of a worker that is gone, none that was to leave and stays."""

from __future__ import annotations

from provision.cluster.draining import is_marked, uncordon
from provision.cluster.health import machine_of
from provision.config.names import worker_names
from provision.lab.context import Context
from provision.lab.leaving import leaving
from provision.steps.leave import ASK_SECONDS


class MembersStep:
    """Every Node of a worker has its machine, and takes pods again where its removal was given up.

    A lab that was off when its worker was removed knows of that only now. What the user cordoned stays so.
    """

    id = "members"
    title = "Members of the cluster"

    def patience(self, ctx: Context) -> float:
        return ctx.scaled(ASK_SECONDS)

    def is_done(self, ctx: Context) -> bool:
        return not any(_wrong(ctx))

    def apply(self, ctx: Context) -> None:
        gone, staying = _wrong(ctx)
        for name in gone:
            ctx.kubectl("delete", "node", name, "--ignore-not-found")
            ctx.report.info(f"took {name} out of the cluster: its machine is gone")
        for name in staying:
            uncordon(ctx.kubectl, name)
            ctx.report.info(f"{name} stays, and takes pods again")

    def plan(self, ctx: Context) -> str:
        return "take out workers that are gone, uncordon those that stay after all"


def _wrong(ctx: Context) -> tuple[list[str], list[str]]:
    """Return the Nodes of workers that are gone, and those that were to leave and stay."""
    workers, wanted = worker_names(ctx.config.name), {node.name for node in ctx.inventory.nodes}
    nodes = {node["metadata"]["name"]: node for node in ctx.kubectl.items("nodes")}
    others = {
        name: machine
        for name, node in nodes.items()
        if name not in wanted and workers.fullmatch(machine := machine_of(node))
    }
    there = {machine.name for machine in leaving(ctx)} if others else set()
    staying = [name for name, node in nodes.items() if name in wanted and is_marked(node)]
    return [name for name, machine in others.items() if machine not in there], staying
