"""The host: whether it can run the lab at all."""

from __future__ import annotations

from provision.config.inventory import bridge_name
from provision.doctor import Finding, Host, HostTools, LabNeeds, checks_for, essentials
from provision.errors import ResourceError
from provision.host.facts import gather
from provision.lab.context import Context


class HostStep:
    """What the lab needs of the host is there; `kubelab doctor` looks closer, and mends."""

    id = "host"
    title = "Host"

    def is_done(self, ctx: Context) -> bool:
        ctx.provider.preflight(gather())
        return not _wrong(ctx)

    def apply(self, ctx: Context) -> None:
        lines = "\n".join(f"{finding.title}: {finding.message}" for finding in _wrong(ctx))
        raise ResourceError(f"this host cannot run the lab yet:\n{lines}", hint="kubelab doctor --fix")

    def plan(self, ctx: Context) -> str:
        return "stop: kubelab doctor says what is wrong with this host"


def _wrong(ctx: Context) -> list[Finding]:
    network = ctx.config.network
    # The others are for making the bundle, which is perhaps there.
    tools = ["helm"] if ctx.config.cni.is_rendered else []
    needs = LabNeeds(list(network.ranges().values()), [bridge_name(ctx.config.name)], network.mtu, tools)
    host = Host(gather(), HostTools(ctx.report.progress))
    return [finding for finding in essentials(host, checks_for(needs)) if finding.level == "fail"]
