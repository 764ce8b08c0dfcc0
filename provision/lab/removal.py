"""Removes machines of a lab, all or some, with all that the hypervisor and Vagrant keep of them."""

from __future__ import annotations

import shutil

from provision.errors import Cancelled, LabError, MissingTool, VagrantError
from provision.lab.context import Context
from provision.lab.ownership import ownership_of


def remove_machines(ctx: Context, *names: str) -> None:
    """Remove all machines of the lab, or those called `names` alone; also those that Vagrant has lost."""
    # Vagrant forgets them while it removes the machines.
    own, known = ownership_of(ctx.config, ctx.workspace.root, ctx.machines), ctx.machines.known_ids()
    _forget_snapshots(ctx, [machine for name, machine in known.items() if not names or name in names])
    try:
        ctx.machines.destroy(*names)
    except (MissingTool, VagrantError) as error:
        ctx.report.warn(
            f"Vagrant failed, so the machines are removed through the hypervisor: {error.message}"
        )
    left = [found for found in ctx.provider.lab_machines(ctx.config, own.ids) if own.covers(found)]
    ctx.provider.remove([found for found in left if not names or found.name in names])


def forget_ids(ctx: Context, *names: str) -> None:
    """Remove what Vagrant keeps of the machines `names`, which are gone."""
    for name in names:
        shutil.rmtree(ctx.workspace.root / ".vagrant" / "machines" / name, ignore_errors=True)


def _forget_snapshots(ctx: Context, ids: list[str]) -> None:
    """Remove the hypervisor's records of the snapshots: Vagrant would take minutes to delete them."""
    try:
        ctx.snapshots(ctx.cancel).forget(ids)
    except Cancelled:
        raise
    except LabError as error:
        ctx.report.info(f"Vagrant will delete the snapshots, which takes longer: {error.message}")
