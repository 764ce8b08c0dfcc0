"""`kubelab render`."""

from __future__ import annotations

import click

from provision.commands.common import Options, common_options, reporting


@click.command("render", short_help="Write the Vagrantfile that `up` would use.")
@click.option("--kubeadm", is_flag=True, help="Print what `kubeadm init` would read, and write nothing.")
@click.option("--addons", is_flag=True, help="Print the objects of the add-ons, and write nothing.")
@common_options
def command(options: Options, kubeadm: bool, addons: bool) -> None:
    """Write the Vagrantfile that `up` would use.

    It does not need kubelab: `vagrant up` in its folder creates the same VMs.
    """
    from provision.lab.addons import rendered
    from provision.lab.opening import open_lab, read_lab
    from provision.snapshots.recovery import recover
    from provision.steps.control_plane import foreseen_documents
    from provision.steps.machines import VagrantfileStep

    with reporting(options) as report:
        config, workspace = read_lab(options.file)
        if kubeadm or addons:
            lab = open_lab(config, workspace, report, options.cancel)
            text = rendered(lab) if addons else foreseen_documents(lab)
            if options.json:
                report.result({"documents": text})
            else:
                click.echo(text, nl=False)
            return
        with workspace.lock():
            lab = open_lab(config, workspace, report, options.cancel)
            recover(lab)
            step = VagrantfileStep()
            changed = not step.is_done(lab)
            if changed:
                step.apply(lab)
        report.info(f"{'wrote' if changed else 'unchanged:'} {workspace.vagrantfile}")
        report.result({"file": str(workspace.vagrantfile), "changed": changed})
