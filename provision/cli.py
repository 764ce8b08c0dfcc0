"""The `kubelab` command: names its subcommands, and imports one only when it is run."""

from __future__ import annotations

import importlib
import keyword
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, NoReturn

import click

from provision import COMPLETE, PROGRAM, __version__

if TYPE_CHECKING:
    from provision.report.base import Reporter

COMMANDS = {
    "init": "Write a commented lab.yaml.",
    "import": "Translate another tool's cluster file to lab.yaml.",
    "render": "Write the Vagrantfile that `up` would use.",
    "up": "Create the cluster, or continue creating it.",
    "stop": "Shut all machines down, or save their memory.",
    "start": "Let a stopped lab run again.",
    "node": "List, add, remove, drain, stop and start single nodes.",
    "addon": "List add-ons, and put them into the lab or take them out.",
    "list": "List all your labs on this host.",
    "diff": "Show where lab.yaml and the lab differ.",
    "status": "Show machines, nodes and pods.",
    "verify": "Test whether the cluster works.",
    "snapshot": "Save the whole lab at one point in time, and restore it.",
    "reset": "Restore the snapshot `ready`, the state after `up`.",
    "ssh": "Open a shell on a node, or run a command there.",
    "cp": "Copy files to a node, from it, or between nodes.",
    "ssh-config": "Print the OpenSSH configuration of the nodes.",
    "inventory": "Print the nodes for Ansible or testinfra.",
    "kubectl": "Run kubectl against the cluster.",
    "kubeconfig": "Print the kubeconfig, or merge it into your own.",
    "destroy": "Remove the cluster and everything created for it.",
    "bundle": "Create and show bundles of Kubernetes.",
    "box": "Build and list node boxes.",
    "doctor": "Check this host, and fix it.",
    "logs": "Put what a report of a fault needs into one file.",
    "completion": "Print what makes your shell complete kubelab's words.",
    "version": "Show the versions of kubelab and of the lab.",
}


class _Lazy(click.Group):
    """A group that shows its help without importing the subcommands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        # No module can have the name of a keyword.
        name = f"{name}_" if keyword.iskeyword(name) else name
        module = importlib.import_module(f"provision.commands.{name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name=PROGRAM)
def group() -> None:
    """A kubeadm cluster on real VMs, from one YAML file.

    Exit codes: 0 done, 1 failed, 2 bad input or usage, 3 a check failed, 70 a fault of kubelab itself,
    130 interrupted.
    """


def main() -> NoReturn:
    """Run the command line. Every error ends as a message and an exit code."""
    from provision.report import streams

    streams.open_missing()
    signal.signal(signal.SIGTERM, _interrupt)
    # Under `nohup` a terminal may go away.
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _interrupt)
    # While a command runs, `reporting` reports exceptions of threads; after its end they do not matter.
    threading.excepthook = lambda arguments: None
    try:
        code = _run()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except Exception as error:
        unread = isinstance(error, BrokenPipeError) and streams.are_unread()
        code = streams.UNREAD if unread else _last_words(error)
    sys.exit(streams.finish(code))


def _run() -> int:
    """Run the command and return its exit code.

    click's own `main` is not used: it ends a broken pipe with exit code 1, and takes EOFError for Ctrl-C.
    """
    instruction = os.environ.get(COMPLETE)
    if instruction:
        from click.shell_completion import shell_complete

        return shell_complete(group, {}, PROGRAM, COMPLETE, instruction)
    try:
        with group.make_context(PROGRAM, sys.argv[1:]) as context:
            group.invoke(context)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return 130
    return 0


def _last_words(error: Exception) -> int:
    """Report an error from outside of any command's own reporting; return its exit code."""
    from provision.report.faults import lab_error_of, traceback_of
    from provision.report.json_events import JsonReporter
    from provision.report.plain import PlainReporter
    from provision.report.redact import Redactor
    from provision.report.tee import TeeReporter

    told = lab_error_of(error)
    if "--debug" in sys.argv:
        click.echo("\n".join(traceback_of(error, Redactor())), err=True)
    screens: list[Reporter] = [JsonReporter(sys.stdout)] if "--json" in sys.argv else []
    # The output itself may be what failed, so there is a second way.
    for screen in (*screens, PlainReporter(sys.stderr)):
        reporter = TeeReporter(screen)
        reporter.error(told)
        if reporter.failure is None:
            break
    return told.exit_code


def _interrupt(number: int, frame: object) -> None:
    """End as Ctrl-C does, so that `kill` and a lost terminal leave the same tidy state."""
    raise KeyboardInterrupt
