"""`kubelab completion`."""

from __future__ import annotations

import click

from provision import COMPLETE, PROGRAM
from provision.commands.common import Options, common_options, reporting


@click.command("completion", short_help="Print what makes your shell complete kubelab's words.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@common_options
def command(options: Options, shell: str) -> None:
    """Print what makes SHELL complete commands, options, and names of nodes, snapshots and steps.

    \b
    ~/.bashrc:                   eval "$(kubelab completion bash)"
    ~/.zshrc:                    eval "$(kubelab completion zsh)"
    ~/.config/fish/config.fish:  kubelab completion fish | source
    """
    from click.shell_completion import get_completion_class

    with reporting(options) as report:
        completer = get_completion_class(shell)
        assert completer is not None, shell
        script = completer(click.get_current_context().find_root().command, {}, PROGRAM, COMPLETE).source()
        if options.json:
            report.result({"shell": shell, "script": script})
        else:
            click.echo(script, nl=False)
