"""Lets every machine of a lab run: those that are off, whose memory was kept, or that stand still."""

from __future__ import annotations

import threading
from collections.abc import Mapping

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
    """Every machine of the lab runs."""

    id = "machines"
    title = "Virtual machines"

    def is_done(self, ctx: Context) -> bool:
        states = ctx.machines.states()
        return all(states.get(node.name) == RUNNING for node in ctx.inventory.nodes)

    def apply(self, ctx: Context) -> None:
        wake(ctx)

    def plan(self, ctx: Context) -> str:
        return f"start {', '.join(node.name for node in ctx.inventory.nodes)}"


def wake(ctx: Context) -> None:
    """Let all machines that exist run; those with kept memory run on at the same moment."""

    def attempt() -> bool:
        try:
            _start(ctx, ctx.machines.states())
        finally:
            # Also after Ctrl-C: what was loaded must not stand still.
            _run_on(ctx)
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


def _start(ctx: Context, states: Mapping[str, str]) -> None:
    ids = ctx.machines.ids()
    for state, hint in HINTS.items():
        off = {name: ids[name] for name, found in states.items() if found == state}
        on_each(ctx, off, ctx.provider.start, "does not start", hint)


def _run_on(ctx: Context) -> None:
    """Let paused machines run on, all at once where the provider can."""
    try:
        _resume_paused(ctx, ctx.cancel)
    finally:
        # Also after Ctrl-C, and where the hypervisor did nothing and said that all is well.
        with interrupts_held():
            _resume_paused(ctx, threading.Event())


def _resume_paused(ctx: Context, cancel: threading.Event) -> None:
    ids = ctx.machines.ids()
    paused = [ids[name] for name, state in ctx.machines.states().items() if state == PAUSED]
    if not paused:
        return
    if ctx.config.provider in SNAPSHOTS:
        ctx.snapshots(cancel).resume(paused)
    else:
        ctx.provider.resume(paused)
