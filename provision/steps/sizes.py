"""Memory and CPUs that lab.yaml changed: one machine after the other is restarted with them."""

from __future__ import annotations

from provision.cluster import draining
from provision.cluster.health import condition
from provision.config.inventory import Node
from provision.engine.waiting import poll_until
from provision.errors import Cancelled, LabError, ToolFailed, in_one_line
from provision.lab.context import Context
from provision.lab.sizes import nodes_of, other_sizes
from provision.providers.base import PAUSED, RUNNING

# How long pods may take to move away, systemd to shut down, and a node to come back, on fast machines.
DRAIN_SECONDS = 60.0
OFF_SECONDS = 60.0
BACK_SECONDS = 180.0
# A guest that has only just begun to boot does not notice its power button.
PRESS_AGAIN = 10.0
POLL_SECONDS = 0.5


class SizesStep:
    """Every machine that exists has the CPUs and the memory of lab.yaml.

    Whether machines may be restarted was asked before: see `provision/lifecycle/consent.py`.
    """

    id = "sizes"
    title = "CPUs and memory"

    def is_done(self, ctx: Context) -> bool:
        return not other_sizes(ctx)

    def apply(self, ctx: Context) -> None:
        for node in nodes_of(ctx, other_sizes(ctx)):
            _give(ctx, node)

    def plan(self, ctx: Context) -> str:
        found = other_sizes(ctx)
        names = ", ".join(node.name for node in nodes_of(ctx, found))
        changes = "; ".join(f"{each.key} {each.lab} -> {each.file}" for each in found)
        return f"restart {names} one after the other ({changes})"


def _give(ctx: Context, node: Node) -> None:
    """Give a node's machine its size; one that runs is shut down for it, and comes back."""
    machine = ctx.machines.ids()[node.name]
    is_on = ctx.machines.states().get(node.name) in (RUNNING, PAUSED)
    boot = _boot_id(ctx, node) if is_on else ""
    moved = is_on and not node.is_control_plane and bool(boot) and _drain(ctx, node)
    if is_on:
        ctx.report.progress(f"{node.name}: shutting down", SizesStep.id)
        _shut_down(ctx, node.name, machine)
    ctx.provider.resize(machine, cpus=node.cpus, memory=node.memory)
    if not is_on:
        ctx.report.info(f"{node.name} is off: it has {node.cpus} CPUs and {node.memory} MiB once it starts")
        return
    ctx.provider.start(machine)
    ctx.disconnect()
    if boot:
        _wait_until_back(ctx, node, boot)
    if moved:
        draining.uncordon(ctx.kubectl, node.name)
    ctx.report.info(f"{node.name} was restarted: it has {node.cpus} CPUs and {node.memory} MiB")


def _drain(ctx: Context, node: Node) -> bool:
    """Have pods move to other nodes, as far as they can without a loss; return whether to uncordon it."""
    seconds = ctx.scaled(DRAIN_SECONDS)
    ctx.report.progress(f"{node.name}: moving pods away", SizesStep.id)
    try:
        found = ctx.kubectl.json("get", "node", node.name)
        draining.cordon(ctx.kubectl, found)
    except ToolFailed as error:
        ctx.report.warn(f"{node.name} was not drained: {error.details or in_one_line(error)}")
        return False
    options = ("--ignore-daemonsets", f"--timeout={seconds:.0f}s")
    try:
        ctx.kubectl("drain", node.name, *options, deadline=seconds)
    except ToolFailed as error:
        # Without a controller, or with data in an emptyDir: these wait for their node instead.
        reason = (error.details or in_one_line(error)).splitlines()[0]
        ctx.report.info(f"{node.name}: not all pods move away, the others start again with it: {reason}")
    # One that the user cordoned stays so.
    return draining.is_marked(found) or not draining.is_cordoned(found)


def _shut_down(ctx: Context, name: str, machine: str) -> None:
    """Press the power button until the machine is off; pull the plug of one that is late."""
    clock = ctx.clock
    if ctx.machines.states().get(name) == PAUSED:
        # Whoever stands still cannot heed a button.
        ctx.provider.resume([machine])
    end, press = clock.now() + ctx.scaled(OFF_SECONDS), clock.now()
    while ctx.machines.states().get(name) in (RUNNING, PAUSED):
        if clock.now() > end:
            ctx.report.warn(
                f"{name} did not shut down in {ctx.scaled(OFF_SECONDS):.0f} s: it is switched off"
            )
            ctx.provider.power_off(machine)
            break
        if clock.now() >= press:
            ctx.provider.shut_down(machine)
            press = clock.now() + PRESS_AGAIN
        clock.sleep(POLL_SECONDS)


def _wait_until_back(ctx: Context, node: Node, boot: str) -> None:
    """Wait until the cluster says that a node booted anew, and is Ready if it was to be."""
    ctx.report.progress(f"{node.name}: waiting until it is Ready", SizesStep.id)

    def is_back() -> bool:
        found = ctx.kubectl.json("get", "node", node.name)
        ready = condition(found, "Ready") == "True" or ctx.cni.name == "none"
        return _boot_id_in(found) not in ("", boot) and ready

    poll_until(
        is_back,
        what=f"{node.name} with its new size",
        deadline=ctx.scaled(BACK_SECONDS),
        clock=ctx.clock,
        errors=ToolFailed,
        hint=f"kubelab status; the machine's console: virsh console {node.machine}",
    )


def _boot_id(ctx: Context, node: Node) -> str:
    """Return by what the cluster knows this boot of a node; empty where it does not answer, or has none."""
    if not ctx.workspace.kubeconfig.exists():
        return ""
    try:
        return _boot_id_in(ctx.kubectl.json("get", "node", node.name))
    except Cancelled:
        raise
    except LabError:
        return ""


def _boot_id_in(node: dict[str, object]) -> str:
    status = node.get("status")
    info = status.get("nodeInfo") if isinstance(status, dict) else None
    return str(info.get("bootID", "")) if isinstance(info, dict) else ""
