"""`kubelab reset`."""

from __future__ import annotations

import click

from provision.commands.common import Options, common_options


@click.command("reset", short_help="Put the lab back to `ready`, as `up` left it.")
@common_options
def command(options: Options) -> None:
    """Put the lab back to the snapshot `ready`, which `up` takes when everything is well.

    Whatever happened to the cluster and inside its machines since is undone, in seconds.
    """
    from provision.commands.snapshot import changing
    from provision.snapshots.commands import restore
    from provision.snapshots.manifests import READY

    options.resume = f"kubelab reset --file {options.file}"
    with changing(options, restoring=True) as lab:
        restore(lab, READY, options.file)
