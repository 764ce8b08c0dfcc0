"""The wait until everything in the cluster is ready."""

from __future__ import annotations

from provision.lab.context import Context
from provision.lab.readiness import wait_until_ready, what_is_missing


class ReadyStep:
    """Every node Ready under its own address, every rollout complete, every pod Ready."""

    id = "ready"
    title = "Nodes and pods Ready"

    def estimate(self, ctx: Context) -> float | None:
        return (3.0 + ctx.cni.settle_seconds / 4) * ctx.acceleration.factor

    def is_done(self, ctx: Context) -> bool:
        return not what_is_missing(ctx)

    def apply(self, ctx: Context) -> None:
        wait_until_ready(ctx, self.id)

    def plan(self, ctx: Context) -> str:
        return "wait until every node and pod is Ready"
