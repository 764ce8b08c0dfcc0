"""The wait until everything in the cluster is ready."""

from __future__ import annotations

from provision.cluster import cordons
from provision.errors import ToolFailed
from provision.lab.context import Context
from provision.lab.readiness import wait_until_ready, what_is_missing


class ReadyStep:
    """Every node Ready under its own address, every rollout complete, every pod Ready."""

    id = "ready"
    title = "Nodes and pods Ready"

    def estimate(self, ctx: Context) -> float | None:
        return (3.0 + ctx.cni.settle_seconds / 4) * ctx.acceleration.factor

    def is_done(self, ctx: Context) -> bool:
        return not what_is_missing(ctx) and not _left_cordoned(ctx)

    def apply(self, ctx: Context) -> None:
        for node in _left_cordoned(ctx):
            cordons.uncordon(ctx.kubectl, node)
        wait_until_ready(ctx, self.id)

    def plan(self, ctx: Context) -> str:
        return "wait until every node and pod is Ready"


def _left_cordoned(ctx: Context) -> list[str]:
    """Return the nodes that an `up` which was killed while it restarted them could not give back to pods."""
    try:
        return cordons.cordoned(ctx.kubectl)
    except ToolFailed:
        return []
