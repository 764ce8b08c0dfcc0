"""Labels and taints of the nodes, as lab.yaml says them."""

from __future__ import annotations

import json

from provision.cluster import marks
from provision.cluster.health import Object
from provision.config.inventory import Node
from provision.errors import ToolFailed
from provision.lab.context import Context


class MarksStep:
    """Every Node has the labels and taints of lab.yaml, and none that lab.yaml had before."""

    id = "labels"
    title = "Labels and taints"

    def patience(self, ctx: Context) -> float:
        return ctx.scaled(120)

    def is_done(self, ctx: Context) -> bool:
        if not ctx.workspace.kubeconfig.exists():
            return False
        try:
            return not _differing(ctx)
        except ToolFailed:
            return False

    def apply(self, ctx: Context) -> None:
        for item, node in _differing(ctx):
            patch = json.dumps(marks.patch_for(item, node))
            ctx.kubectl("patch", "node", node.name, "--type=merge", f"--patch={patch}")
            want = marks.wanted(node)
            ctx.report.info(f"{node.name}: labels {want.labels_text}; taints {want.taints_text}")

    def plan(self, ctx: Context) -> str:
        return "give the nodes the labels and taints of lab.yaml"


def _differing(ctx: Context) -> list[tuple[Object, Node]]:
    """Return the Node objects that have other labels or taints than lab.yaml says."""
    nodes = {node.name: node for node in ctx.inventory.nodes}
    pairs = [(item, nodes.get(item["metadata"]["name"])) for item in ctx.kubectl.items("nodes")]
    return [(item, node) for item, node in pairs if node and marks.seen(item, node) != marks.wanted(node)]
