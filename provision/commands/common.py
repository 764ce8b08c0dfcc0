"""What the subcommands share: common options, and the reporting of errors."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from provision.errors import Cancelled, ConfigError, Fault, LabError, StepFailed, in_one_line
from provision.host import groups
from provision.report.choose import make_reporter
from provision.report.faults import lab_error_of, thread_errors, traceback_of
from provision.report.run_log import RunLog
from provision.report.streams import are_unread
from provision.report.tee import TeeReporter
from provision.workspace import Workspace

if TYPE_CHECKING:
    from provision.lab.context import Context

F = TypeVar("F", bound=Callable[..., Any])
LAB_FILE = "lab.yaml"


@dataclass
class Options:
    """The options every command has."""

    file: Path
    json: bool
    debug: bool
    resume: str | None = None
    cancel: threading.Event = field(default_factory=threading.Event)

    def file_words(self) -> list[str]:
        """Return the words by which another command takes the same lab.yaml."""
        return [] if str(self.file) == LAB_FILE else ["--file", str(self.file)]


def common_options(function: F) -> F:
    """Add --file, --json and --debug; the command gets them as one `options`.

    A command whose user came into libvirt's group after the session began runs again with it.
    """

    def gather(file: Path, json: bool, debug: bool, **rest: Any) -> Any:
        groups.join()
        if groups.must_run_again():
            sys.exit(groups.run_again())
        return function(options=Options(file, json, debug), **rest)

    gather.__doc__ = function.__doc__
    gather.__name__ = function.__name__
    gather.__click_params__ = getattr(function, "__click_params__", [])  # type: ignore[attr-defined]
    file = click.option(
        "--file",
        "-f",
        type=click.Path(path_type=Path),
        default=LAB_FILE,
        show_default=True,
        help="The lab.yaml to use.",
    )
    json = click.option("--json", is_flag=True, help="Print one JSON object per line.")
    debug = click.option("--debug", is_flag=True, help="Show a traceback when something fails.")
    return file(json(debug(gather)))  # type: ignore[return-value]


@contextmanager
def reporting(options: Options, workspace: Workspace | None = None) -> Iterator[TeeReporter]:
    """Give the reporter; an exception inside is reported and ends the command with its exit code.

    With a `workspace` everything also goes to its run log, unless another command is at work there: the log
    is that one's. Output that cannot be written does not stop the work; it is an error once that is done.
    Exceptions of click pass through, and so do BrokenPipeError when nobody reads the output any more, and an
    error that cannot be told here.
    """
    log = None
    if workspace is not None:
        workspace.prepare()
        log = None if workspace.busy() else RunLog(workspace.run_log)
    with make_reporter(json=options.json, log=log) as reporter, thread_errors() as from_threads:
        try:
            yield reporter
            for error in from_threads:
                raise error
            if reporter.failure is not None:
                raise reporter.failure
            return
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except (KeyboardInterrupt, Exception) as raised:
            if isinstance(raised, BrokenPipeError) and are_unread():
                raise
            if isinstance(raised, KeyboardInterrupt):
                options.cancel.set()
            told = lab_error_of(raised, logged=log is not None)
            _log_tracebacks([raised, *from_threads], reporter)
        if not _tell(told, reporter, options, log):
            raise told
    sys.exit(told.exit_code)


def recover_interrupted(lab: Context) -> None:
    """Recover from an interrupted snapshot command before the lab is asked anything.

    A failure is only a warning. A command that still runs is left alone.
    """
    workspace = lab.workspace
    if workspace.journal.exists() and not workspace.busy():
        from provision.snapshots.recovery import recover

        try:
            with workspace.lock():
                recover(lab)
        except Cancelled:
            raise
        except LabError as error:
            lab.report.warn(in_one_line(error))


def _log_tracebacks(raised: Sequence[BaseException], reporter: TeeReporter) -> None:
    """Write the tracebacks of unexpected exceptions to the run log."""
    write = reporter.sink("traceback")
    for error in raised:
        if not isinstance(error, LabError | KeyboardInterrupt):
            for line in traceback_of(error, reporter.redactor):
                write(line)


def _tell(error: LabError, reporter: TeeReporter, options: Options, log: RunLog | None) -> bool:
    """Report what ended the command; return whether that could be done."""
    if options.debug:
        click.echo("\n".join(traceback_of(error, reporter.redactor)), err=True)
    step = error.step_id if isinstance(error, StepFailed) else None
    # Running it again does not help against a fault of kubelab, or before lab.yaml is changed.
    resume = options.resume if not isinstance(error, Fault | ConfigError) else None
    reporter.failure = None
    reporter.error(error, step=step, log=log.path if log is not None else None, resume=resume)
    return reporter.failure is None
