"""`kubelab logs`."""

from __future__ import annotations

from pathlib import Path

import click

from provision.commands.common import Options, common_options, reporting


@click.command("logs", short_help="Put what a report of a fault needs into one file.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write this file; otherwise LAB-logs-TIME.tar.gz in this folder.",
)
@common_options
def command(options: Options, out: Path | None) -> None:
    """Put what a report of a fault needs into one tar.gz.

    That is: the run logs, lab.yaml, the rendered files, the status, and of the nodes that answer the end of
    the journals of the kubelet and containerd. Secrets that kubelab knows or recognises are taken out; have
    a look before you send it.
    """
    from provision.host.files import PRIVATE, write_output
    from provision.lab.opening import open_lab, read_lab
    from provision.report.events import utc_now
    from provision.report.text import size
    from provision.status.logs import archive, collect

    with reporting(options) as report:
        config, workspace = read_lab(options.file)
        # What an interrupted command left is evidence, too: it is not mended.
        lab = open_lab(config, workspace, report, options.cancel)
        found = collect(lab, options.file, report.redactor)
        folder = f"{config.name}-logs-{utc_now():%Y%m%dT%H%M%SZ}"
        target = out or Path(f"{folder}.tar.gz")
        content = archive(found, folder)
        write_output(target, content, mode=PRIVATE)
        for name, why in found.missing.items():
            report.info(f"not in it: {name}: {why}")
        report.info(f"wrote {target} ({size(len(content))}): have a look at it before you send it")
        report.result(
            {
                "file": str(target),
                "size": len(content),
                "files": sorted(found.texts),
                "missing": found.missing,
            }
        )
