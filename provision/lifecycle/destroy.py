"""Removing a lab: everything made for it, and nothing else."""

from __future__ import annotations

import shutil
import time

from provision.config.inventory import machine_names
from provision.errors import Cancelled, LabError, MissingTool, VagrantError
from provision.lab.context import Context
from provision.lab.refusals import refuse_another_lab


def destroy(ctx: Context) -> None:
    """Remove machines, disks, snapshots, network, leases, keys and kubeconfig; the run log stays.

    Works also on a lab that is half made, or whose machines were removed behind Vagrant's back.
    """
    refuse_another_lab(ctx.config, ctx.workspace.root, ctx.provider)
    start = time.monotonic()
    _forget_snapshots(ctx)
    try:
        ctx.machines.destroy()
    except (MissingTool, VagrantError) as error:
        ctx.report.warn(f"Vagrant could not remove the machines, so the hypervisor is asked: {error.message}")
    left = ctx.provider.strays(ctx.config, {})
    ctx.provider.remove(left)
    ctx.provider.remove_rest(ctx.config)
    _forget(ctx)
    seconds = time.monotonic() - start
    ctx.report.info(f"the lab {ctx.config.name} is gone ({seconds:.1f} s); box and bundle stay in the cache")
    ctx.report.result({"lab": ctx.config.name, "seconds": round(seconds, 1)})


def _forget_snapshots(ctx: Context) -> None:
    """Let the hypervisor forget the snapshots: Vagrant would delete them one by one, which takes minutes."""
    try:
        ctx.snapshots(ctx.cancel).forget(list(ctx.machines.ids().values()))
    except Cancelled:
        raise
    except LabError as error:
        ctx.report.info(f"the snapshots are left to Vagrant: {error.message}")


def _forget(ctx: Context) -> None:
    """Remove the files that speak of machines which are no more."""
    space = ctx.workspace
    for file in (space.ssh_key, space.ssh_key.with_name(f"{space.ssh_key.name}.pub"), space.known_hosts):
        file.unlink(missing_ok=True)
    for file in (space.ssh_config, space.kubeconfig):
        file.unlink(missing_ok=True)
    for file in (space.journal, space.decision):
        file.unlink(missing_ok=True)
    shutil.rmtree(space.snapshots, ignore_errors=True)
    ours = machine_names(ctx.config.name)
    for folder in (space.root / ".vagrant" / "machines").glob("*"):
        if ours.fullmatch(folder.name):
            shutil.rmtree(folder, ignore_errors=True)
