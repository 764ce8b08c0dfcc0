"""Lets every machine of a lab run: those that are off, whose memory was kept, or that stand still."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping

from provision.engine.waiting import poll_until
from provision.errors import MachineBusy
from provision.extensions import SNAPSHOTS
from provision.host.interrupts import interrupts_held
from provision.lab.context import Context
from provision.lifecycle.each import on_each
from provision.providers.base import PAUSED, RUNNING, SAVED, STOPPED

# A hypervisor that still copies memory for a killed command accepts no other command until it is done.
BUSY_SECONDS = 180.0
BUSY_POLL = 0.5
HINTS = {
    STOPPED: "kubelab doctor; then: kubelab start",
    # Perhaps another QEMU saved it.
    SAVED: "kubelab start; where its memory cannot be loaded any more: kubelab reset",
}


class WakeStep:
    """Every machine of the lab runs, or those of the nodes `names` alone."""

    id = "machines"
    title = "Virtual machines"

    def __init__(self, *names: str) -> None:
        self.names = names

    def is_done(self, ctx: Context) -> bool:
        states = ctx.machines.states()
        return all(states.get(node.name) == RUNNING for node in ctx.inventory.chosen(self.names))

    def apply(self, ctx: Context) -> None:
        wake(ctx, *self.names)

    def plan(self, ctx: Context) -> str:
        return f"start {', '.join(node.name for node in ctx.inventory.chosen(self.names))}"


def wake(ctx: Context, *names: str) -> None:
    """Let machines that exist run, all or those of the nodes `names`.

    Those with kept memory run on at the same moment.
    """

    def attempt() -> bool:
        try:
            _start(ctx, _states(ctx, names))
        finally:
            # Also after Ctrl-C: what was loaded must not stand still.
            _run_on(ctx, names)
        return True

    poll_until(
        attempt,
        what="the hypervisor",
        deadline=BUSY_SECONDS,
        clock=ctx.clock,
        interval=BUSY_POLL,
        errors=MachineBusy,
        hint="kubelab start",
    )


def _states(ctx: Context, names: Collection[str]) -> dict[str, str]:
    states = ctx.machines.states()
    return {name: state for name, state in states.items() if not names or name in names}


def _start(ctx: Context, states: Mapping[str, str]) -> None:
    ids = ctx.machines.ids()
    for state, hint in HINTS.items():
        off = {name: ids[name] for name, found in states.items() if found == state}
        on_each(ctx, off, ctx.provider.start, "does not start", hint)


def _run_on(ctx: Context, names: Collection[str]) -> None:
    """Let paused machines run on, all at once where the provider can."""
    try:
        _resume_paused(ctx, names, ctx.cancel)
    finally:
        # Also after Ctrl-C, and where the hypervisor did nothing and said that all is well.
        with interrupts_held():
            _resume_paused(ctx, names, threading.Event())


def _resume_paused(ctx: Context, names: Collection[str], cancel: threading.Event) -> None:
    ids = ctx.machines.ids()
    paused = [ids[name] for name, state in _states(ctx, names).items() if state == PAUSED]
    if not paused:
        return
    if ctx.config.provider in SNAPSHOTS:
        ctx.snapshots(cancel).resume(paused)
    else:
        ctx.provider.resume(paused)
