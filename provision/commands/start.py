"""`kubelab start`."""

from __future__ import annotations

import shlex

import click

from provision.commands.common import Options, common_options


@click.command("start", short_help="Let a stopped lab run again.")
@common_options
def command(options: Options) -> None:
    """Start the machines of a lab that was stopped, wait until its cluster is ready, and check it.

    After Ctrl-C, or when the host was restarted, run it again: it goes on from there.
    """
    from provision.commands.snapshot import changing
    from provision.lifecycle.start import start

    options.resume = shlex.join(["kubelab", "start", *options.file_words()])
    with changing(options) as lab:
        start(lab, options.file)
