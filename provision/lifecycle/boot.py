"""Waits until every node has booted: until it lets kubelab in."""

from __future__ import annotations

from provision.config.inventory import Node
from provision.engine.parallel import on_all
from provision.engine.waiting import poll_until
from provision.errors import ConnectFailed
from provision.lab.context import Context

BOOT_SECONDS = 60.0


class BootStep:
    """Every node lets kubelab in, or those called `names` alone."""

    id = "boot"
    title = "Nodes booted"

    def __init__(self, *names: str) -> None:
        self.names = names

    def is_done(self, ctx: Context) -> bool:
        def greeted(node: Node) -> bool:
            try:
                return _greet(ctx, node)
            except ConnectFailed:
                return False

        return all(on_all(ctx.inventory.chosen(self.names), greeted, ctx.cancel).values())

    def apply(self, ctx: Context) -> None:
        def wait(node: Node) -> None:
            poll_until(
                lambda: _greet(ctx, node),
                what=f"SSH on {node.name}",
                deadline=ctx.scaled(BOOT_SECONDS),
                clock=ctx.clock,
                errors=ConnectFailed,
                hint="kubelab status; the machine's console: virsh console",
            )

        on_all(ctx.inventory.chosen(self.names), wait, ctx.cancel)

    def plan(self, ctx: Context) -> str:
        return "wait until every node has booted"


def _greet(ctx: Context, node: Node) -> bool:
    return ctx.connect(node).run("echo booted", deadline=ctx.scaled(10), what="greet the node").ok
