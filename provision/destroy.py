"""Removing a lab: everything made for it, and nothing else."""

from __future__ import annotations

import shutil
import time

from provision.context import Context
from provision.errors import VagrantError
from provision.inventory import machine_names


def destroy(ctx: Context) -> None:
    """Remove machines, disks, network, leases, keys and kubeconfig; the run log stays.

    Works also on a lab that is half made, or whose machines were removed behind Vagrant's back.
    """
    start = time.monotonic()
    try:
        ctx.machines.destroy()
    except VagrantError as error:
        ctx.report.warn(f"Vagrant could not remove the machines, so the hypervisor is asked: {error.message}")
    left = ctx.provider.strays(ctx.config, {})
    ctx.provider.remove(left)
    ctx.provider.remove_rest(ctx.config)
    _forget(ctx)
    seconds = time.monotonic() - start
    ctx.report.info(f"the lab {ctx.config.name} is gone ({seconds:.1f} s); box and bundle stay in the cache")
    ctx.report.result({"lab": ctx.config.name, "seconds": round(seconds, 1)})


def _forget(ctx: Context) -> None:
    """Remove the files that speak of machines which are no more."""
    space = ctx.workspace
    for file in (space.ssh_key, space.ssh_key.with_name(f"{space.ssh_key.name}.pub"), space.known_hosts):
        file.unlink(missing_ok=True)
    for file in (space.ssh_config, space.kubeconfig):
        file.unlink(missing_ok=True)
    ours = machine_names(ctx.config.name)
    for folder in (space.root / ".vagrant" / "machines").glob("*"):
        if ours.fullmatch(folder.name):
            shutil.rmtree(folder, ignore_errors=True)
