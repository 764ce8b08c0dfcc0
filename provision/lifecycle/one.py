"""One node of a lab that runs: drained, stopped, started. The others run on."""

from __future__ import annotations

import time

from provision.cluster.draining import drain, uncordon
from provision.cluster.health import condition
from provision.cluster.leaders import LEASES, NODE_LEASES, renewed
from provision.engine.steps import Step, run_steps
from provision.engine.waiting import poll_until
from provision.errors import Cancelled, LabError, ToolFailed
from provision.lab import start_record
from provision.lab.context import Context
from provision.lab.halted import START, halted, require_running
from provision.lab.readiness import READY_SECONDS
from provision.lab.refusals import refuse_anothers_machines, refuse_other_names
from provision.lifecycle.boot import BootStep
from provision.lifecycle.stop import machines_on, switch_off, told
from provision.lifecycle.wake import WakeStep
from provision.providers.base import MISSING, RUNNING, SAVED
from provision.steps.leave import ASK_SECONDS, DRAIN_SECONDS
from provision.steps.machines import NetworkStep
from provision.steps.nodes import NodesStep


class BackStep:
    """The node is Ready, by a heartbeat newer than `since` (seconds since the epoch)."""

    id = "ready"
    title = "Node Ready"

    def __init__(self, name: str, since: float) -> None:
        self.name = name
        self.since = since

    def is_done(self, ctx: Context) -> bool:
        try:
            objects = ctx.kubectl.items(f"nodes,{LEASES}", "--all-namespaces")
        except ToolFailed:
            return False
        named = [item for item in objects if item["metadata"]["name"] == self.name]
        ready = any(item["kind"] == "Node" and condition(item, "Ready") == "True" for item in named)
        leases = [
            item for item in named if item["kind"] == "Lease" and item["metadata"]["namespace"] == NODE_LEASES
        ]
        # Without a pod network no node is ever Ready.
        return (ready or ctx.cni.name == "none") and any(renewed(item) > self.since for item in leases)

    def apply(self, ctx: Context) -> None:
        poll_until(
            lambda: self.is_done(ctx),
            what=f"a heartbeat of {self.name}, which is Ready again,",
            deadline=ctx.scaled(READY_SECONDS + ctx.cni.settle_seconds),
            clock=ctx.clock,
            hint=f"kubelab ssh {self.name} -- sudo journalctl -u kubelet -e",
        )

    def plan(self, ctx: Context) -> str:
        return f"wait until {self.name} is Ready again"


def drain_node(ctx: Context, name: str) -> None:
    """Move the pods of a node to others; with the lab's `force` as for a node that leaves."""
    name, begin = _begin(ctx, name)
    require_running(ctx, [ctx.inventory.first.name, name])
    with told(ctx, f"{name} drained", "drain"):
        drain(ctx.kubectl, name, ctx.patience(DRAIN_SECONDS), force=ctx.force)
    seconds = round(ctx.clock.now() - begin, 1)
    ctx.report.info(f"drained {name} in {seconds} s; it takes no pods until: kubelab node uncordon {name}")
    ctx.report.result({"node": name, "seconds": seconds})


def uncordon_node(ctx: Context, name: str) -> None:
    """Let a node take pods again."""
    name, _ = _begin(ctx, name)
    require_running(ctx, [ctx.inventory.first.name])
    ctx.patience(ASK_SECONDS).insist(lambda _: uncordon(ctx.kubectl, name), f"{name}: kubectl uncordon")
    ctx.report.info(f"{name} takes pods again")
    ctx.report.result({"node": name})


def stop_node(ctx: Context, name: str) -> None:
    """Shut one machine down; one that does not go off in time is switched off, and told."""
    name, begin = _begin(ctx, name)
    was_on = bool(machines_on(ctx, name))
    late = _switch_off(ctx, name) if was_on else {}
    seconds = round(ctx.clock.now() - begin, 1)
    ctx.report.info(f"stopped {name} in {seconds} s" if was_on else f"nothing to do: {name} is off")
    found = {"changed": was_on, "switched_off": bool(late), "seconds": seconds}
    ctx.report.result({"node": name, **found})
    ctx.report.next_commands([f"kubelab node start {name}"])


def start_node(ctx: Context, name: str) -> None:
    """Start one machine, and wait until its node is Ready again."""
    name, begin = _begin(ctx, name)
    _refuse_to_start(ctx, name)
    was_off = ctx.machines.states()[name] != RUNNING
    _start(ctx, name, time.time() if was_off else 0.0)
    seconds = round(ctx.clock.now() - begin, 1)
    ctx.report.info(f"{name} is Ready, after {seconds} s" if was_off else f"{name} runs and is Ready")
    ctx.report.result({"node": name, "changed": was_off, "seconds": seconds})


def restart_node(ctx: Context, name: str) -> None:
    """Shut one machine down and start it again, and wait until its node is Ready."""
    name, begin = _begin(ctx, name)
    _refuse_to_start(ctx, name)
    late = _switch_off(ctx, name) if machines_on(ctx, name) else {}
    _start(ctx, name, time.time())
    seconds = round(ctx.clock.now() - begin, 1)
    ctx.report.info(f"restarted {name} in {seconds} s")
    ctx.report.result({"node": name, "switched_off": bool(late), "seconds": seconds})


def _begin(ctx: Context, given: str) -> tuple[str, float]:
    """Refuse a name that no node has, a node without a machine, and machines of others.

    Returns the node's own name, where that of its machine was given too, and the time.
    """
    name = ctx.inventory.node(given).name
    refuse_anothers_machines(ctx)
    if name not in ctx.machines.states():
        raise LabError(f"{name} has no machine", hint="kubelab up")
    return name, ctx.clock.now()


def _refuse_to_start(ctx: Context, name: str) -> None:
    """Raise LabError where one machine alone cannot come back as it was, as where the whole lab is off."""
    refuse_other_names(ctx)
    states, first = ctx.machines.states(), ctx.inventory.first.name
    if SAVED in states.values() or start_record.read(ctx.workspace) is not None:
        raise LabError("the lab as a whole was stopped, and comes back as a whole", hint=START)
    if name != first and states.get(first) != RUNNING:
        text = halted(states, [node.name for node in ctx.inventory.nodes])
        hint = START if text else f"kubelab node start {first}"
        raise LabError(text or f"machine {first} is {states.get(first, MISSING)}", hint=hint)


def _switch_off(ctx: Context, name: str) -> dict[str, str]:
    with told(ctx, f"{name} shut down"):
        return switch_off(ctx, name)


def _start(ctx: Context, name: str, since: float) -> None:
    try:
        _run(ctx, NetworkStep(), WakeStep(name))
        # What was connected to the machine before knows nothing of its start.
        ctx.disconnect()
        _run(ctx, BootStep(name), NodesStep(name), BackStep(name, since))
    except Cancelled:
        hint = f"kubelab node start {name} goes on from here"
        raise Cancelled(f"the start of {name} was interrupted", hint=hint) from None


def _run(ctx: Context, *steps: Step[Context]) -> None:
    run_steps(steps, ctx, ctx.report, clock=ctx.clock, cancel=ctx.cancel)
