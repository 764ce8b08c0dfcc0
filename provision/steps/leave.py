"""Workers that lab.yaml has no more: their pods move, and they and all that was kept of them go.

The highest number goes first, one at a time. A run that is interrupted goes on where it ended: what is left
is asked of the cluster and of the hypervisor.
"""

from __future__ import annotations

from provision.cluster.draining import cordon, drain
from provision.cluster.health import Object, condition, system_id
from provision.config.names import worker_names
from provision.errors import Cancelled, LabError, ToolFailed, in_one_line
from provision.lab.context import Context
from provision.lab.leaving import leaving
from provision.lab.refusals import refuse_anothers_machines
from provision.lab.removal import forget_ids, remove_machines
from provision.providers.base import MISSING, RUNNING, LabMachine
from provision.snapshots.manifests import READY
from provision.snapshots.preconditions import manifests_of

# How long pods may take to move, on fast machines: as long as two of them end, and their successors begin.
DRAIN_SECONDS = 120.0
# How long the API server may take for the rest.
ASK_SECONDS = 30.0


class LeaveStep:
    """No machine of a worker is there that lab.yaml has no more."""

    id = "leave"
    title = "Workers that leave"

    def is_done(self, ctx: Context) -> bool:
        return not leaving(ctx) and not _forgotten(ctx)

    def apply(self, ctx: Context) -> None:
        refuse_anothers_machines(ctx)
        gone: list[LabMachine] = []
        try:
            for machine in leaving(ctx):
                remove(ctx, machine, self.id)
                gone.append(machine)
        finally:
            tell_snapshots(ctx, gone)
        forget_ids(ctx, *_forgotten(ctx))

    def plan(self, ctx: Context) -> str:
        names = ", ".join(machine.node for machine in leaving(ctx))
        return f"drain and remove {names}" if names else f"forget {', '.join(_forgotten(ctx))}"


def remove(ctx: Context, machine: LabMachine, step: str) -> None:
    """Drain a worker, and delete its Node and its machine, with all that was kept of them."""
    if silent := why_silent(ctx):
        ctx.report.info(f"{machine.node} is not drained: {silent}")
    else:
        _take_out(ctx, machine, step)
    ctx.report.progress(f"removing {machine.node}", step)
    remove_machines(ctx, machine.name)
    ctx.provider.remove_left_disks(ctx.config)
    forget_ids(ctx, machine.name)
    ctx.host_keys.forget_others(ctx.machines.ids())
    ctx.report.info(f"removed {machine.node}")


def _take_out(ctx: Context, machine: LabMachine, step: str) -> None:
    """Drain a node, and delete its Node; with `force` that may fail: the step `members` does the rest."""
    try:
        _ask(ctx, machine, step)
    except Cancelled:
        raise
    except LabError as error:
        if ctx.force:
            ctx.report.warn(f"{machine.node} is removed all the same: {in_one_line(error)}")
        elif isinstance(error, ToolFailed):
            raise LabError(
                f"{machine.node} cannot be taken out of the cluster: {in_one_line(error)}",
                hint="kubelab status; --force removes it all the same",
            ) from error
        else:
            raise


def _ask(ctx: Context, machine: LabMachine, step: str) -> None:
    patience = ctx.patience(ASK_SECONDS)
    state = ctx.provider.states([machine.id]).get(machine.id, MISSING)
    node = patience.insist(lambda _: node_of(ctx, machine), f"the Node {machine.node}")
    name = node["metadata"]["name"] if node is not None else machine.node
    if why := _why_undrained(node, state):
        ctx.report.info(f"{name} is not drained: {why}")
    elif node is not None:
        ctx.report.progress(f"draining {name}", step)
        patience.insist(lambda _: cordon(ctx.kubectl, node), f"{name}: kubectl cordon")
        drain(ctx.kubectl, name, ctx.patience(DRAIN_SECONDS), force=ctx.force)
    if node is not None:
        patience.insist(
            lambda _: ctx.kubectl("delete", "node", name, "--ignore-not-found"),
            f"{name}: kubectl delete node",
        )


def why_silent(ctx: Context) -> str:
    """Return why there is no cluster that can be asked, or an empty string."""
    if not ctx.workspace.kubeconfig.exists():
        return "the lab has no cluster yet"
    first = ctx.inventory.first.name
    state = ctx.machines.states().get(first, MISSING)
    return "" if state == RUNNING else f"machine {first} is {state}"


def node_of(ctx: Context, machine: LabMachine) -> Object | None:
    """Return the Node that runs on a machine, else the one that it was made for; raises ToolFailed.

    Raises LabError where that runs on a machine that stays, which would lose its pods and its Node.
    """
    nodes = ctx.kubectl.items("nodes")
    staying = {found.lower(): name for name, found in ctx.machines.ids().items() if found != machine.id}
    its_own = next((node for node in nodes if system_id(node) == machine.id.lower() != ""), None)
    node = its_own or next((node for node in nodes if node["metadata"]["name"] == machine.node), None)
    if node is not None and system_id(node) in staying:
        raise LabError(
            f"the Node {machine.node} is not that of {machine.name}: it runs on the machine of"
            f" {staying[system_id(node)]}",
            hint="kubelab kubectl get nodes -o wide",
        )
    return node


def _why_undrained(node: Object | None, state: str) -> str:
    """Return why no pod can leave a node by itself, or an empty string."""
    if node is None:
        return "it is not in the cluster"
    if state != RUNNING:
        return f"its machine is {state}"
    return "" if condition(node, "Ready") == "True" else "it is not Ready"


def _forgotten(ctx: Context) -> list[str]:
    """Return the workers that are gone, machine and all, of which Vagrant keeps something still."""
    workers, wanted = worker_names(ctx.config.name), {node.machine for node in ctx.inventory.nodes}
    kept = [
        name for name in ctx.workspace.machine_folders() if workers.fullmatch(name) and name not in wanted
    ]
    there = {machine.name for machine in leaving(ctx)} if kept else set()
    return [name for name in kept if name not in there]


def tell_snapshots(ctx: Context, gone: list[LabMachine]) -> None:
    """Tell which snapshots have a machine that is gone; `ready` is saved anew."""
    known, _ = manifests_of(ctx).all()
    machines, names = {machine.name for machine in gone}, ", ".join(machine.node for machine in gone)
    older = [name for name, found in known.items() if name != READY and machines & set(found.ids)]
    if older:
        ctx.report.warn(
            f"saved with {names}, and cannot be restored any more: {', '.join(older)};"
            " kubelab snapshot delete removes them"
        )
