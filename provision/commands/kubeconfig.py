"""`kubelab kubeconfig`."""

from __future__ import annotations

from pathlib import Path

import click

from provision.commands.common import Options, common_options, reporting


@click.command("kubeconfig", short_help="Print the kubeconfig, or merge it into your own.")
@click.option(
    "--merge", is_flag=True, help="Merge it into ~/.kube/config (or the first file of $KUBECONFIG)."
)
@click.option("--into", type=click.Path(path_type=Path), help="Merge it into this file.")
@common_options
def command(options: Options, merge: bool, into: Path | None) -> None:
    """Print the cluster's kubeconfig, or merge it into your own."""
    from provision.cluster.kubeconfig import default_path, merge_into
    from provision.errors import LabError
    from provision.host.proxies import behind_proxy, without_proxy
    from provision.lab.opening import read_lab

    with reporting(options) as report:
        config, workspace = read_lab(options.file)
        if not workspace.kubeconfig.exists():
            raise LabError(f"the lab {config.name} has no cluster yet", hint="kubelab up")
        if merge or into:
            target = into or default_path()
            merge_into(target, workspace.kubeconfig)
            report.info(f"merged the context {config.name} into {target}")
            report.result({"file": str(target), "context": config.name})
            if behind_proxy():
                network = config.network
                value = without_proxy((network.nodes, network.services))["NO_PROXY"]
                report.warn(f"your own kubectl asks the proxy for the lab, unless you set NO_PROXY={value}")
        elif options.json:
            report.result({"file": str(workspace.kubeconfig), "context": config.name})
        else:
            click.echo(workspace.kubeconfig.read_bytes(), nl=False)
