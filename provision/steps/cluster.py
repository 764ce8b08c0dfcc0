"""The CNI, and the wait until everything in the cluster is ready."""

from __future__ import annotations

from provision.cluster.health import problems
from provision.errors import ToolFailed, WaitTimeout
from provision.lab.context import Context

KINDS = "nodes,pods,deployments,daemonsets"
POLL_SECONDS = 1.0
READY_SECONDS = 90
SHOWN = 3


class CniStep:
    """What the CNI puts into the cluster."""

    id = "cni"
    title = "Pod network"

    def is_done(self, ctx: Context) -> bool:
        if not ctx.workspace.kubeconfig.exists():
            return False
        try:
            return ctx.cni.is_installed(ctx.kubectl, ctx.site)
        except ToolFailed:
            return False

    def apply(self, ctx: Context) -> None:
        ctx.cni.install(ctx.kubectl, ctx.site)

    def plan(self, ctx: Context) -> str:
        return f"install {ctx.cni.name}"


class ReadyStep:
    """Every node Ready under its own address, every rollout complete, every pod Ready."""

    id = "ready"
    title = "Nodes and pods Ready"

    def estimate(self, ctx: Context) -> float | None:
        return (3.0 + ctx.cni.settle_seconds / 4) * ctx.acceleration.factor

    def is_done(self, ctx: Context) -> bool:
        return not what_is_missing(ctx)

    def apply(self, ctx: Context) -> None:
        patience = ctx.scaled(READY_SECONDS + ctx.cni.settle_seconds)
        clock, end = ctx.clock, ctx.clock.now() + patience
        while missing := what_is_missing(ctx):
            ctx.report.progress("; ".join(missing[:SHOWN]), self.id)
            if clock.now() > end:
                listed = "\n".join(missing)
                raise WaitTimeout(
                    f"the cluster is not ready after {patience:.0f} s:\n{listed}", hint="kubelab status"
                )
            clock.sleep(POLL_SECONDS)

    def plan(self, ctx: Context) -> str:
        return "wait until every node and pod is Ready"


def what_is_missing(ctx: Context) -> list[str]:
    """Return what keeps the cluster from being ready, be it an API server that does not answer."""
    try:
        objects = ctx.kubectl.items(KINDS, "--all-namespaces")
    except ToolFailed as error:
        return [f"the API server does not answer: {error.details or error}"]
    return problems(objects, ctx.inventory, network=ctx.cni.name != "none")
