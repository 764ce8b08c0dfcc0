"""`kubelab import`."""

from __future__ import annotations

from pathlib import Path

import click

from provision.commands.common import Options, common_options, reporting


@click.command("import", short_help="Translate another tool's cluster file to lab.yaml.")
@click.argument("source", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Write this file, instead of that of --file.")
@common_options
def command(options: Options, source: Path, out: Path | None) -> None:
    """Translate FILE, a cluster file of kind or k0sctl or a Vagrant project's settings.yaml, to lab.yaml.

    What lab.yaml has no key for is told, one line a key. A file that is there is not written over.
    """
    from provision.errors import ConfigError
    from provision.host.files import write_output
    from provision.translation.translate import translate

    target = out or options.file
    with reporting(options) as report:
        if target.exists():
            raise ConfigError(f"{target} already exists", hint="--out OTHER, or move it away first")
        text, lost = translate(source)
        write_output(target, text)
        for key, what in lost:
            report.warn(f"{key}: {what}")
        report.info(f"wrote {target}")
        report.result({"file": str(target), "lost": [{"key": key, "text": what} for key, what in lost]})
        report.next_commands(["kubelab doctor", "kubelab up"])
