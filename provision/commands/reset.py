"""`kubelab reset`."""

from __future__ import annotations

import click

from provision.commands.common import Options, common_options


@click.command("reset", short_help="Restore the snapshot `ready`, the state after `up`.")
@common_options
def command(options: Options) -> None:
    """Restore the snapshot `ready`, which `up` saves once the cluster is healthy.

    This undoes in seconds everything that changed since in the cluster and in its machines.
    """
    from provision.commands.snapshot import changing
    from provision.snapshots.commands import restore
    from provision.snapshots.manifests import READY

    options.resume = f"kubelab reset --file {options.file}"
    with changing(options, restoring=READY) as lab:
        restore(lab, READY, options.file)
