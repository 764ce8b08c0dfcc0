"""`kubelab kubectl`."""

from __future__ import annotations

import os

import click

from provision.commands.common import Options, common_options, recover_interrupted, reporting


@click.command(
    "kubectl",
    short_help="Run kubectl against the cluster.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@common_options
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(options: Options, arguments: tuple[str, ...]) -> None:
    """Run the bundle's own kubectl against the cluster: kubelab kubectl -- get nodes."""
    from provision.errors import LabError
    from provision.lab.opening import open_lab, read_lab

    with reporting(options) as report:
        config, workspace = read_lab(options.file)
        lab = open_lab(config, workspace, report, options.cancel)
        if not workspace.kubeconfig.exists():
            raise LabError(f"the lab {config.name} has no cluster yet", hint="kubelab up")
        recover_interrupted(lab)
        kubectl = lab.kubectl
        environment = {**os.environ, **kubectl.environment}
        report.close()
        argv = [str(kubectl.program), f"--kubeconfig={kubectl.kubeconfig}", *arguments]
        os.execve(kubectl.program, argv, environment)
