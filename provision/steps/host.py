"""The host: whether it can run the lab at all."""

from __future__ import annotations

from provision.config.inventory import bridge_name
from provision.doctor import Finding, Host, HostTools, LabNeeds, checks_for, essentials
from provision.errors import ConfigError, ResourceError
from provision.host.facts import gather
from provision.lab.context import Context


class HostStep:
    """What the lab needs of the host is there; `kubelab doctor` looks closer, and mends."""

    id = "host"
    title = "Host"

    def is_done(self, ctx: Context) -> bool:
        if not ctx.provider.builds_boxes:
            raise ConfigError(
                f"a box for {ctx.provider.name} is not there yet",
                key="provider",
                hint="kubelab render writes its Vagrantfile; provider: libvirt makes clusters",
            )
        refuse_another_lab(ctx)
        ctx.provider.preflight(gather())
        return not _wrong(ctx)

    def apply(self, ctx: Context) -> None:
        lines = "\n".join(f"{finding.title}: {finding.message}" for finding in _wrong(ctx))
        raise ResourceError(f"this host cannot run the lab yet:\n{lines}", hint="kubelab doctor --fix")

    def plan(self, ctx: Context) -> str:
        return "stop: kubelab doctor says what is wrong with this host"


def refuse_another_lab(ctx: Context) -> None:
    """Raise ConfigError where another folder made a lab of the same name: it is not ours to touch."""
    others = ctx.provider.elsewhere(ctx.config, ctx.workspace.root)
    for machine, vagrantfile in others.items():
        raise ConfigError(
            f"a lab called {ctx.config.name} is there already: {machine} was made from {vagrantfile}",
            key="name",
            hint="choose another name, or run kubelab destroy in that folder",
        )


def _wrong(ctx: Context) -> list[Finding]:
    network = ctx.config.network
    needs = LabNeeds(list(network.ranges().values()), [bridge_name(ctx.config.name)], network.mtu)
    host = Host(gather(), HostTools(ctx.report.progress))
    return [finding for finding in essentials(host, checks_for(needs)) if finding.level == "fail"]
