"""CoreDNS, which asks the resolvers that the nodes had when its pods started."""

from __future__ import annotations

import json

from provision.cluster.health import KUBE_SYSTEM
from provision.errors import ToolFailed
from provision.lab.context import Context

COREDNS = "deployment/coredns"
# On its pods: the resolvers of lab.yaml that they started with, none where it names none.
ANNOTATION = "kubelab/dns"


class ResolversStep:
    """CoreDNS started, or is starting, with the resolvers of lab.yaml."""

    id = "dns"
    title = "Resolvers of CoreDNS"

    def patience(self, ctx: Context) -> float:
        return ctx.scaled(120)

    def is_done(self, ctx: Context) -> bool:
        if not ctx.workspace.kubeconfig.exists():
            return not ctx.config.dns
        try:
            return _started_with(ctx) == _wanted(ctx)
        except ToolFailed:
            return False

    def apply(self, ctx: Context) -> None:
        # An annotation that changes makes the Deployment replace its pods; null takes it away.
        metadata = {"annotations": {ANNOTATION: _wanted(ctx) or None}}
        patch = json.dumps({"spec": {"template": {"metadata": metadata}}})
        ctx.kubectl("patch", COREDNS, f"--namespace={KUBE_SYSTEM}", "--type=merge", f"--patch={patch}")
        ctx.report.info("CoreDNS starts again: the resolvers of the nodes are others")

    def plan(self, ctx: Context) -> str:
        return "start CoreDNS again, with the resolvers of lab.yaml"


def _wanted(ctx: Context) -> str:
    return ",".join(map(str, ctx.config.dns))


def _started_with(ctx: Context) -> str:
    found = ctx.kubectl.json("get", COREDNS, f"--namespace={KUBE_SYSTEM}")
    metadata = found.get("spec", {}).get("template", {}).get("metadata", {})
    return str((metadata.get("annotations") or {}).get(ANNOTATION, ""))
