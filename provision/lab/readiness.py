"""Checks whether everything in the cluster is ready, and waits until it is."""

from __future__ import annotations

from provision.cluster.health import problems
from provision.errors import ToolFailed, WaitTimeout
from provision.lab.context import Context

KINDS = "nodes,pods,deployments,daemonsets"
POLL_SECONDS = 1.0
READY_SECONDS = 90
SHOWN = 3


def what_is_missing(ctx: Context) -> list[str]:
    """Return what keeps the cluster from being ready; an API server that does not answer counts, too."""
    try:
        objects = ctx.kubectl.items(KINDS, "--all-namespaces")
    except ToolFailed as error:
        return [f"the API server does not answer: {error.details or error}"]
    return problems(objects, ctx.inventory, network=ctx.cni.name != "none")


def wait_until_ready(ctx: Context, step: str) -> None:
    """Wait until everything is ready; progress goes to `step`. Raises WaitTimeout that lists what is not."""
    patience = ctx.scaled(READY_SECONDS + ctx.cni.settle_seconds)
    clock, end = ctx.clock, ctx.clock.now() + patience
    while missing := what_is_missing(ctx):
        ctx.report.progress("; ".join(missing[:SHOWN]), step)
        if clock.now() > end:
            listed = "\n".join(missing)
            raise WaitTimeout(
                f"the cluster is not ready after {patience:.0f} s:\n{listed}", hint="kubelab status"
            )
        clock.sleep(POLL_SECONDS)
