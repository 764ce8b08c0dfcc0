"""`kubelab ssh-config`."""

from __future__ import annotations

import click

from provision.commands.common import Options, common_options, reporting


@click.command("ssh-config", short_help="Print the OpenSSH configuration of the nodes.")
@click.option("--path", is_flag=True, help="Print the path of the file instead; it stays the same.")
@common_options
def command(options: Options, path: bool) -> None:
    """Print the OpenSSH configuration of the nodes, for ssh -F and for pytest --ssh-config.

    \b
    pytest --hosts=$(kubelab inventory --format testinfra) \\
        --ssh-config="$(kubelab ssh-config --path)" --sudo
    """
    from provision.config.inventory import inventory_of
    from provision.errors import LabError
    from provision.host.files import PRIVATE, write_atomic
    from provision.lab.opening import read_lab
    from provision.ssh.host_keys import ssh_config

    with reporting(options) as report:
        config, workspace = read_lab(options.file)
        if not workspace.ssh_config.exists():
            raise LabError(f"the lab {config.name} has no machines yet", hint="kubelab up")
        write_atomic(workspace.ssh_config, ssh_config(workspace, inventory_of(config)), mode=PRIVATE)
        if options.json:
            report.result({"file": str(workspace.ssh_config)})
        elif path:
            click.echo(workspace.ssh_config)
        else:
            click.echo(workspace.ssh_config.read_bytes(), nl=False)
