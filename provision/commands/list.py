"""`kubelab list`."""

from __future__ import annotations

import sys

import click

from provision.commands.common import Options, common_options, reporting


@click.command("list", short_help="List all your labs on this host.")
@common_options
def command(options: Options) -> None:
    """List all your labs on this host: their names, states, nodes and folders.

    It needs no lab.yaml. Labs of other users are not shown.
    """
    from provision.status.labs import labs_of_user

    with reporting(options) as report:
        labs, unknown = labs_of_user(report, options.cancel)
        for provider, why in unknown.items():
            report.warn(f"{provider} does not say which labs it has: {why}")
        rows = [
            [
                lab.name,
                lab.state,
                ", ".join(lab.nodes),
                str(lab.folder) if lab.folder_exists else f"{lab.folder} (gone)",
            ]
            for lab in labs
        ]
        if rows:
            report.table("Labs", ["name", "state", "nodes", "folder"], rows)
        elif not unknown:
            report.info("you have no labs on this host; kubelab init begins one")
        shown = [
            {
                "name": lab.name,
                "state": lab.state,
                "provider": lab.provider,
                "folder": str(lab.folder),
                "folder_exists": lab.folder_exists,
                "nodes": [{"name": name, "state": state} for name, state in lab.nodes.items()],
            }
            for lab in labs
        ]
        report.result({"labs": shown, "unknown": unknown})
    sys.exit(1 if unknown else 0)
