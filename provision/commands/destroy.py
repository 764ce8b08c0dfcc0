"""`kubelab destroy`."""

from __future__ import annotations

import click

from provision.commands.common import Options, common_options, reporting


@click.command("destroy", short_help="Remove the cluster and everything created for it.")
@common_options
def command(options: Options) -> None:
    """Remove the lab's machines, disks, network, keys and kubeconfig.

    The box and the bundle stay in the cache, so that the next `up` is fast.
    """
    from provision.lab.opening import open_lab, read_lab
    from provision.lifecycle.destroy import destroy

    options.resume = f"kubelab destroy --file {options.file}"
    with reporting(options) as early:
        config, workspace = read_lab(options.file)
        early.close()
        with reporting(options, workspace) as report, workspace.lock():
            destroy(open_lab(config, workspace, report, options.cancel))
