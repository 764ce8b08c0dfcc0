"""`kubelab version`."""

from __future__ import annotations

from typing import Any

import click

from provision import __version__
from provision.commands.common import Options, common_options, reporting


@click.command("version", short_help="Show the versions of kubelab and of the lab.")
@common_options
def command(options: Options) -> None:
    """Show the version of kubelab, and where there is a lab.yaml the Kubernetes and the CNI of its lab."""
    with reporting(options) as report:
        # Without a lab the question is about kubelab alone; a file that was named has to be there.
        lab = _lab(options) if options.file.exists() or options.file_words() else None
        if options.json:
            report.result({"kubelab": __version__, "lab": lab})
            return
        click.echo(f"kubelab {__version__}")
        if lab is not None:
            wanted = "" if lab["decided"] else ", as lab.yaml has it: the lab is not made yet"
            click.echo(f"lab {lab['name']}: Kubernetes {lab['kubernetes']}, CNI {lab['cni']}{wanted}")


def _lab(options: Options) -> dict[str, Any]:
    """Return the lab's name and versions, and whether these are decided; raises LabError."""
    from provision.lab.decision import read_decision
    from provision.lab.opening import read_lab

    config, workspace = read_lab(options.file)
    made = read_decision(workspace.decision)
    decided = made.follow(config) if made else config
    return {
        "name": config.name,
        "kubernetes": decided.kubernetes,
        "cni": decided.cni.name,
        "decided": made is not None,
    }
