"""The kubelets' serving certificates, where an add-on verifies them."""

from __future__ import annotations

import datetime as dt

from provision.errors import RemoteError
from provision.lab.context import Context
from provision.node.certificates import MARGIN
from provision.repair.services import RESTART_KUBELET, START_SECONDS, run_on
from provision.repair.serving import are_wanted, lacking, signed_scripts


class ServingStep:
    """Every kubelet serves with a certificate of the cluster's authority, if an add-on wants that."""

    id = "serving"
    title = "Kubelets' serving certificates"

    def patience(self, ctx: Context) -> float:
        return ctx.scaled(120)

    def is_done(self, ctx: Context) -> bool:
        if not are_wanted(ctx):
            return True
        if not ctx.workspace.kubeconfig.exists():
            return False
        try:
            return not _lacking(ctx)
        except RemoteError:
            return False

    def apply(self, ctx: Context) -> None:
        names = _lacking(ctx)
        scripts = {name: f"{script}{RESTART_KUBELET}" for name, script in signed_scripts(ctx, names).items()}
        run_on(ctx, scripts, "install the serving certificate", ctx.scaled(START_SECONDS) + 120)
        ctx.report.info(f"signed the serving certificates of the kubelets on {', '.join(names)}")

    def plan(self, ctx: Context) -> str:
        return "sign the serving certificate of every kubelet, and start it again with it"


def _lacking(ctx: Context) -> list[str]:
    return lacking(ctx, dt.datetime.now(dt.UTC) + MARGIN)
