"""`destroy`: removes everything that was created for a lab, and nothing else."""

from __future__ import annotations

import shutil
import time

from provision.cluster.kubeconfig import files_of_user, take_out
from provision.config.names import machine_names
from provision.errors import LabError, in_one_line
from provision.host.files import remove_with_leftovers
from provision.lab import ports
from provision.lab.context import Context
from provision.lab.refusals import refuse_anothers_machines
from provision.lab.removal import forget_ids, remove_machines
from provision.verify import record


def destroy(ctx: Context) -> None:
    """Remove machines, disks, snapshots, network, ports, keys and kubeconfig; the run log stays.

    The lab's context is taken out of the user's own kubeconfig, too.

    Also works on an incomplete lab, or when machines were removed without Vagrant.
    """
    refuse_anothers_machines(ctx)
    start = time.monotonic()
    ports.close(ctx)
    remove_machines(ctx)
    ctx.provider.remove_rest(ctx.config)
    _forget_context(ctx)
    _forget(ctx)
    seconds = time.monotonic() - start
    ctx.report.info(
        f"removed the lab {ctx.config.name} in {seconds:.1f} s; the box and the bundle stay in the cache"
    )
    ctx.report.result({"lab": ctx.config.name, "seconds": round(seconds, 1)})


def _forget_context(ctx: Context) -> None:
    """Take the lab's context out of the user's kubeconfig; what cannot be is told."""
    try:
        for file in files_of_user():
            if take_out(file, ctx.workspace.kubeconfig):
                ctx.report.info(f"took the context {ctx.config.name} out of {file}")
    except (LabError, OSError) as error:
        ctx.report.warn(
            f"the context {ctx.config.name} may still be in your kubeconfig: {in_one_line(error)}; "
            f"kubectl config delete-context {ctx.config.name} removes it"
        )


def _forget(ctx: Context) -> None:
    """Remove the files about the removed machines."""
    space = ctx.workspace
    public_key = space.ssh_key.with_name(f"{space.ssh_key.name}.pub")
    made = (space.ssh_key, public_key, space.known_hosts, space.ssh_config, space.kubeconfig)
    for file in (*made, space.journal, space.start_record, space.decision):
        remove_with_leftovers(file)
    record.forget(space)
    shutil.rmtree(space.snapshots, ignore_errors=True)
    ours = machine_names(ctx.config.name)
    forget_ids(ctx, *filter(ours.fullmatch, space.machine_folders()))
