"""`kubelab inventory`."""

from __future__ import annotations

import click

from provision.commands.common import Options, common_options, reporting


@click.command("inventory", short_help="Print the nodes for Ansible or testinfra.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["ansible", "testinfra"]),
    default="ansible",
    show_default=True,
    help="A YAML inventory, or what pytest --hosts takes.",
)
@common_options
def command(options: Options, form: str) -> None:
    """Print the nodes for Ansible or testinfra.

    \b
    kubelab inventory > inventory.yaml; ansible -i inventory.yaml workers -m ping
    pytest --hosts=$(kubelab inventory --format testinfra) \\
        --ssh-config="$(kubelab ssh-config --path)" --sudo
    """
    from provision.config.inventory import inventory_of
    from provision.errors import LabError
    from provision.lab.opening import read_lab
    from provision.ssh.exports import ansible_inventory, hosts_for_testinfra

    with reporting(options) as report:
        config, workspace = read_lab(options.file)
        if not workspace.ssh_config.exists():
            raise LabError(f"the lab {config.name} has no machines yet", hint="kubelab up")
        nodes = inventory_of(config)
        if form == "testinfra":
            hosts = hosts_for_testinfra(nodes)
            click.echo(",".join(hosts)) if not options.json else report.result({"hosts": hosts})
            return
        document = ansible_inventory(nodes, workspace)
        if options.json:
            report.result(document)
        else:
            import yaml

            click.echo(yaml.safe_dump(document, sort_keys=False, width=1000), nl=False)
