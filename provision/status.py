"""What state a lab is in, asked of the hypervisor and of the API server."""

from __future__ import annotations

from provision.context import Context
from provision.providers.base import RUNNING
from provision.steps.cluster import what_is_missing


def status(ctx: Context) -> bool:
    """Tell the state of the lab and return whether it is healthy."""
    states = ctx.machines.states()
    rows = [
        [node.name, node.role, node.ip, states.get(node.name, "not there")] for node in ctx.inventory.nodes
    ]
    ctx.report.table("Machines", ["name", "role", "address", "state"], rows)
    # A node counts as Ready for a while after its machine stopped, so the machines are judged themselves.
    problems = [f"machine {name} is {state}" for name, _, _, state in rows if state != RUNNING]
    if not states:
        problems = ["the lab has no machines"]
    elif not ctx.workspace.kubeconfig.exists():
        problems.append("the lab has no cluster yet")
    if problems:
        ctx.report.next_commands(["kubelab up"])
    if ctx.workspace.kubeconfig.exists() and states.get(ctx.inventory.first.name) == RUNNING:
        problems += what_is_missing(ctx)
    for problem in problems:
        ctx.report.warn(problem)
    if not problems:
        ctx.report.info(f"the cluster is healthy: Kubernetes {ctx.version}, every node and pod Ready")
    ctx.report.result({"healthy": not problems, "machines": dict(states), "problems": problems})
    return not problems
