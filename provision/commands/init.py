"""`kubelab init`."""

from __future__ import annotations

import click

from provision.commands.common import Options, common_options, reporting


@click.command("init", short_help="Write a commented lab.yaml.")
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@common_options
def command(options: Options, force: bool) -> None:
    """Write a commented lab.yaml to start from."""
    from provision.config.schema import sample
    from provision.errors import ConfigError
    from provision.host.files import write_output

    with reporting(options) as report:
        if options.file.exists() and not force:
            raise ConfigError(f"{options.file} already exists", hint="to overwrite it: kubelab init --force")
        write_output(options.file, sample())
        report.info(f"wrote {options.file}")
        report.result({"file": str(options.file)})
        report.next_commands(["kubelab doctor", "kubelab up"])
