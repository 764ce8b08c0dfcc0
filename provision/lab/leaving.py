"""The workers that lab.yaml has no more: `workers.count` was lowered. The highest numbers leave."""

from __future__ import annotations

from pathlib import Path

from provision.config.inventory import Inventory
from provision.config.names import worker_names
from provision.config.schema import ClusterConfig
from provision.errors import ConfigDrift
from provision.lab.context import Context
from provision.lab.differences import WORKERS, Difference, by_number
from provision.lab.ownership import strays
from provision.providers.base import LabMachine, Provider
from provision.providers.vagrant import Machines


def leaving(ctx: Context) -> list[LabMachine]:
    """Return the machines of the workers that lab.yaml has no more, the highest number first."""
    return workers_that_leave(ctx.config, ctx.inventory, ctx.workspace.root, ctx.provider, ctx.machines)


def workers_that_leave(
    config: ClusterConfig, inventory: Inventory, folder: Path, provider: Provider, machines: Machines
) -> list[LabMachine]:
    """Return the same without a Context; whose the machines are is proved as for `destroy`."""
    workers, wanted = worker_names(config.name), {node.machine for node in inventory.nodes}
    found = strays(config, folder, provider, machines)
    left = [machine for machine in found if machine.name not in wanted and workers.fullmatch(machine.name)]
    return sorted(left, key=lambda machine: by_number(machine.name), reverse=True)


def fewer_workers(
    config: ClusterConfig, inventory: Inventory, folder: Path, provider: Provider, machines: Machines
) -> Difference | None:
    """Return both numbers and who leaves, those included that Vagrant has lost; None where nobody does."""
    names = [found.node for found in workers_that_leave(config, inventory, folder, provider, machines)]
    made = [node for node in inventory.workers if node.name in machines.ids()]
    lab, file = str(len(made) + len(names)), str(len(inventory.workers))
    return Difference(WORKERS, lab, file, refused=False, machines=tuple(names)) if names else None


def refuse_leaving(ctx: Context, why: str, hint: str) -> None:
    """Raise ConfigDrift where workers are to leave: `why` is what keeps them, `hint` what to do."""
    names = [machine.node for machine in leaving(ctx)]
    if names:
        wanted = len(ctx.inventory.workers)
        raise ConfigDrift(
            f"lab.yaml says {wanted}, and the lab has {', '.join(names)} too: {why}", key=WORKERS, hint=hint
        )
