"""What state a lab is in, asked of the hypervisor and of the API server."""

from __future__ import annotations

from provision.context import Context
from provision.steps.cluster import what_is_missing


def status(ctx: Context) -> bool:
    """Tell the state of the lab and return whether it is healthy."""
    states = ctx.machines.states()
    rows = [
        [node.name, node.role, node.ip, states.get(node.name, "not there")] for node in ctx.inventory.nodes
    ]
    ctx.report.table("Machines", ["name", "role", "address", "state"], rows)
    if not states:
        problems = ["the lab has no machines"]
        ctx.report.next_commands(["kubelab up"])
    elif not ctx.workspace.kubeconfig.exists():
        problems = ["the lab has no cluster yet"]
        ctx.report.next_commands(["kubelab up"])
    else:
        problems = what_is_missing(ctx)
    for problem in problems:
        ctx.report.warn(problem)
    if not problems:
        ctx.report.info(f"the cluster is healthy: Kubernetes {ctx.version}, every node and pod Ready")
    ctx.report.result({"healthy": not problems, "machines": dict(states), "problems": problems})
    return not problems
