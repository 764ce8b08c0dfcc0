"""Ports of the host that lead to the lab, as lab.yaml says them."""

from __future__ import annotations

from provision.lab import ports
from provision.lab.context import Context


class PortsStep:
    """A process of the lab's own listens on each port, and on no other."""

    id = "ports"
    title = "Ports of the host"

    def is_done(self, ctx: Context) -> bool:
        return ports.are_there(ctx)

    def apply(self, ctx: Context) -> None:
        ports.bring(ctx)

    def plan(self, ctx: Context) -> str:
        texts = ", ".join(port.text for port in ctx.config.ports)
        return f"listen on {texts}" if texts else "listen on no port of this host any more"
