"""Asks before `up` restarts machines that lab.yaml gives another size."""

from __future__ import annotations

from collections.abc import Callable

from provision.errors import ConfigDrift
from provision.lab.context import Context
from provision.lab.sizes import nodes_of, other_sizes
from provision.providers.base import STOPPED


def require_consent(ctx: Context, ask: Callable[[str], bool] | None) -> None:
    """Raise ConfigDrift where machines that run have to be restarted, and `ask` is None or says no.

    A machine that is off has nothing to lose.
    """
    found, states = other_sizes(ctx), ctx.machines.states()
    nodes = [node.name for node in nodes_of(ctx, found) if states.get(node.name) != STOPPED]
    if not nodes:
        return
    names = ", ".join(nodes)
    if ask is not None and ask(f"Restart {names}, one after the other?"):
        return
    first, *others = found
    lines = [first.text, *(f"{each.key}: {each.text}" for each in others)]
    lines.append(f"to apply it, {names} would be restarted, one after the other; pods there stop meanwhile")
    hint = "kubelab up --restart; or let lab.yaml say what the lab has"
    raise ConfigDrift("\n".join(lines), key=first.key, hint=hint)
