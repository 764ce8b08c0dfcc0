"""Before anything is made: whether the CNI can be had, and is the one that a living cluster has."""

from __future__ import annotations

from provision.cni.installed import look, refuse_change
from provision.errors import ToolFailed
from provision.lab.context import Context
from provision.providers.base import RUNNING


class CniCheckStep:
    """Everything the CNI needs is in the bundle, and no living cluster has another one."""

    id = "cni-check"
    title = "Pod network's parts"

    def is_done(self, ctx: Context) -> bool:
        refuse_another_cni(ctx)
        bundle = ctx.find_bundle()
        if bundle is None:
            return False
        ctx.cni.check(bundle)
        return True

    def apply(self, ctx: Context) -> None:
        ctx.cni.check(ctx.build_bundle())

    def plan(self, ctx: Context) -> str:
        return f"look whether {ctx.cni.name} can be had"


def refuse_another_cni(ctx: Context) -> None:
    """Raise ConfigDrift if the cluster answers and has another CNI than lab.yaml asks for."""
    if not ctx.workspace.kubeconfig.exists() or ctx.find_bundle() is None:
        return
    states = ctx.machines.states()
    # An address where no machine runs would be asked until the deadline.
    if states.get(ctx.inventory.first.name) != RUNNING:
        return
    try:
        found = look(ctx.kubectl)
    except ToolFailed:
        return
    refuse_change(ctx.config.cni, found)
