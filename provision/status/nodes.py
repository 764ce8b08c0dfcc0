"""What `kubelab node list` shows: the nodes alone, also where the cluster does not answer."""

from __future__ import annotations

from provision.lab.context import Context
from provision.status.data import nodes
from provision.status.gather import gather_nodes
from provision.status.screen import NODE_COLUMNS, node_rows


def show_nodes(ctx: Context) -> None:
    """Print the nodes, and what could not be asked."""
    found = gather_nodes(ctx)
    listed = nodes(ctx, found)
    rows = node_rows(listed, found.time, asked=found.objects is not None)
    ctx.report.table("Nodes", NODE_COLUMNS, rows)
    for part, why in found.unknown.items():
        ctx.report.warn(f"{part}: {why}")
    ctx.report.result({"lab": ctx.config.name, "nodes": listed, "unknown": dict(found.unknown)})
