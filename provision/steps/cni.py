"""The CNI: whether it can be had, asked before anything is made; and its installation."""

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


class CniStep:
    """What the CNI puts into the cluster."""

    id = "cni"
    title = "Pod network"

    def patience(self, ctx: Context) -> float:
        return ctx.scaled(120)

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
