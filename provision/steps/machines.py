"""The Vagrantfile, the lab's network, its machines, and proof of which machine answers."""

from __future__ import annotations

from provision.errors import LabError
from provision.host.files import write_atomic
from provision.lab import ownership
from provision.lab.context import Context
from provision.lab.refusals import refuse_anothers_machines, refuse_unknown_machines
from provision.providers.base import PAUSED, RUNNING, LabMachine
from provision.providers.vagrantfile import vagrantfile
from provision.ssh.keys import make_key


class VagrantfileStep:
    """The rendered Vagrantfile."""

    id = "vagrantfile"
    title = "Vagrantfile"

    def is_done(self, ctx: Context) -> bool:
        ctx.workspace.refuse_foreign_vagrantfile()
        file = ctx.workspace.vagrantfile
        return ctx.workspace.ssh_key.exists() and file.is_file() and file.read_bytes() == render(ctx).encode()

    def apply(self, ctx: Context) -> None:
        make_key(ctx.workspace.ssh_key, ctx.config.name)
        write_atomic(ctx.workspace.vagrantfile, render(ctx))

    def plan(self, ctx: Context) -> str:
        return f"write {ctx.workspace.vagrantfile}"


class NetworkStep:
    """The lab's own network."""

    id = "network"
    title = "Lab network"

    def is_done(self, ctx: Context) -> bool:
        return ctx.provider.network_ready(ctx.config, ctx.inventory)

    def apply(self, ctx: Context) -> None:
        ctx.provider.make_network(ctx.config, ctx.inventory)

    def plan(self, ctx: Context) -> str:
        return f"make the network {ctx.config.network.nodes}"


class MachinesStep:
    """Every machine runs, and its host key is known."""

    id = "machines"
    title = "Virtual machines"

    def estimate(self, ctx: Context) -> float | None:
        return 10.0 + 4.0 * ctx.acceleration.factor

    def patience(self, ctx: Context) -> float:
        return ctx.scaled(60)

    def is_done(self, ctx: Context) -> bool:
        states = ctx.machines.states()
        running = all(states.get(node.name) == RUNNING for node in ctx.inventory.nodes)
        # A machine of a node that left lab.yaml would otherwise go unseen, all others being as they should.
        return running and not _strays(ctx) and not ctx.host_keys.missing(ctx.machines.ids())

    def apply(self, ctx: Context) -> None:
        _remove_half_made(ctx)
        states, ids = ctx.machines.states(), ctx.machines.ids()
        paused = [ids[name] for name, state in states.items() if state == PAUSED]
        if paused:
            ctx.provider.resume(paused)
            ctx.report.info("some machines stood paused: they run on")
        if any(state != RUNNING for state in ctx.machines.states().values()) or len(states) < len(
            ctx.inventory.nodes
        ):
            ctx.machines.up()
            _must_exist(ctx)
        ctx.pin_host_keys()

    def plan(self, ctx: Context) -> str:
        return f"make and start {', '.join(node.name for node in ctx.inventory.nodes)}"


def _remove_half_made(ctx: Context) -> None:
    """Remove what a killed `vagrant up` left half made; refuse where the machines are not this lab's."""
    # Refused before anything was built, but that may be long ago.
    refuse_anothers_machines(ctx)
    refuse_unknown_machines(ctx.config, ctx.inventory, ctx.workspace.root, ctx.provider, ctx.machines)
    half_made = _strays(ctx)
    if half_made:
        names = ", ".join(machine.name for machine in half_made)
        ctx.report.info(f"removing half-made machines: {names}")
        ctx.provider.remove(half_made)
    if len(ctx.machines.ids()) < len(ctx.inventory.nodes):
        ctx.provider.remove_left_disks(ctx.config)


def _strays(ctx: Context) -> list[LabMachine]:
    return ownership.strays(ctx.config, ctx.workspace.root, ctx.provider, ctx.machines)


def _must_exist(ctx: Context) -> None:
    ids = ctx.machines.ids()
    missing = [node.name for node in ctx.inventory.nodes if node.name not in ids]
    if missing:
        raise LabError(
            f"Vagrant reported no error, but made no machine for {', '.join(missing)}",
            hint="see what Vagrant said in the run log, then: kubelab up",
        )


def render(ctx: Context) -> str:
    """Return the Vagrantfile of this lab."""
    key = ctx.workspace.ssh_key.relative_to(ctx.workspace.root)
    return vagrantfile(
        ctx.config, ctx.inventory, ctx.provider.name, ctx.acceleration, ctx.recipe.reference, str(key)
    )
