"""The `kubelab` command: names its subcommands, and imports one only when it is run."""

from __future__ import annotations

import importlib
import signal
import sys
from typing import NoReturn

import click

from provision import __version__

COMMANDS = {
    "init": "Write a commented lab.yaml.",
    "render": "Write the Vagrantfile that `up` would use.",
    "up": "Make the cluster, or go on making it.",
    "status": "Show machines, nodes and pods.",
    "verify": "Prove by tests that the cluster is right.",
    "snapshot": "Save the whole lab at one point in time, and put it back.",
    "reset": "Put the lab back to `ready`, as `up` left it.",
    "ssh": "Open a shell on a node, or run a command there.",
    "ssh-config": "Print the OpenSSH configuration of the nodes.",
    "inventory": "Print the nodes for Ansible or testinfra.",
    "kubectl": "Run kubectl against the cluster.",
    "kubeconfig": "Print the kubeconfig, or merge it into your own.",
    "destroy": "Remove the cluster and everything made for it.",
    "bundle": "Make and show bundles of Kubernetes.",
    "box": "Build and list node boxes.",
    "doctor": "Check this host, and mend it.",
}


class _Lazy(click.Group):
    """A group whose help needs no subcommand's imports."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"provision.commands.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="kubelab")
def group() -> None:
    """A kubeadm cluster on real VMs, from one YAML file.

    Exit codes: 0 done, 1 failed, 2 bad input or usage, 3 verification red, 130 interrupted.
    """


def main() -> NoReturn:
    """Run the command line."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        sys.exit(group.main(prog_name="kubelab", standalone_mode=False))
    except click.exceptions.Exit as ended:
        sys.exit(ended.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)


def _interrupt(number: int, frame: object) -> None:
    """End as Ctrl-C does, so that `kill` leaves the same tidy state."""
    raise KeyboardInterrupt
