"""A lab whose machines are off: what it is called, and the refusal of what needs them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from provision.errors import Cancelled, LabError
from provision.lab.context import Context
from provision.providers.base import MISSING, RUNNING, SAVED, STOPPED

TEXTS = {
    STOPPED: "the lab is stopped: all its machines are off",
    SAVED: "the lab is saved: its machines are off, and their memory is kept",
}
START = "kubelab start"


def halted(states: Mapping[str, str], names: Iterable[str]) -> str:
    """Return what a lab is whose machines `names` are all off, or an empty string; `states` is by name."""
    found = {states.get(name, MISSING) for name in names}
    if not found <= {STOPPED, SAVED}:
        return ""
    return TEXTS[SAVED if SAVED in found else STOPPED]


def next_command(states: Mapping[str, str], names: Iterable[str]) -> str:
    """Return what lets the machines `names` run, some of which do not."""
    return "kubelab up" if any(name not in states for name in names) else START


def require_running(ctx: Context, names: Collection[str]) -> None:
    """Raise LabError unless the machines `names` run."""
    states = ctx.machines.states()
    every = [node.name for node in ctx.inventory.nodes]
    off = [name for name in names if states.get(name) != RUNNING]
    if off:
        text = halted(states, every) or f"the machine {off[0]} is {states.get(off[0], MISSING)}"
        raise LabError(text, hint=next_command(states, every))


def refuse_halted(ctx: Context, names: Collection[str]) -> None:
    """Raise LabError where a machine of `names` is known not to run; what is not known is tried."""
    try:
        states = ctx.machines.states()
    except Cancelled:
        raise
    except LabError:
        return
    if states:
        require_running(ctx, names)
