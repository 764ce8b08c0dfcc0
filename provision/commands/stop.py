"""`kubelab stop`."""

from __future__ import annotations

import shlex

import click

from provision.commands.common import Options, common_options


@click.command("stop", short_help="Shut all machines down, or save their memory.")
@click.option("--save", is_flag=True, help="Keep the memory, so that `start` takes seconds.")
@common_options
def command(options: Options, save: bool) -> None:
    """Shut down all machines of the lab at once; `kubelab start` lets it run again.

    A machine that does not shut down in time is switched off.
    """
    from provision.commands.snapshot import changing
    from provision.lifecycle.stop import stop
    from provision.lifecycle.suspend import suspend

    words = ["kubelab", "stop", *(["--save"] if save else []), *options.file_words()]
    options.resume = shlex.join(words)
    with changing(options) as lab:
        if save:
            suspend(lab)
        else:
            stop(lab)
