"""Runs the checks with pytest in a separate process, and reads its events."""

from __future__ import annotations

import shlex
import sys
import tempfile
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provision.config.suggest import did_you_mean
from provision.errors import ConfigError, ToolFailed
from provision.host.process import KEPT_LINES, run_tool
from provision.lab.context import Context
from provision.report.tee import TeeReporter
from provision.verify.junit import publish
from provision.verify.protocol import event_of
from provision.verify.selection import Selection

CHECKS = Path(__file__).resolve().parent.parent / "checks"
CONFIGURATION = CHECKS / "pytest.ini"
PLUGINS = ("provision.testing.plugin", "provision.verify.events")
# Of pytest's exit codes.
SOME_FAILED = 1
NONE_LEFT = 5
# Seconds on fast machines: for all of the checks, and for those under way to clean up after Ctrl-C.
DEADLINE = 3600.0
GRACE = 30.0


@dataclass(frozen=True)
class Check:
    """The result of one test; `look` is where to look when it failed, `text` pytest's whole report."""

    id: str
    concern: str
    sentence: str
    node: str
    outcome: str
    why: str
    look: str
    text: str

    @property
    def name(self) -> str:
        """Return the sentence with its node, such as "swap is off (lab-w1)"."""
        return f"{self.sentence} ({self.node})" if self.node else self.sentence


@dataclass(frozen=True)
class Request:
    """What to verify: `tests` are folders of the user's own tests, `junit` is where the JUnit file goes."""

    lab_file: Path
    selection: Selection
    tests: tuple[Path, ...] = ()
    junit: Path | None = None
    checks: Path = CHECKS

    def argv(self, junit: Path) -> list[str]:
        """Return the command; pytest writes its own JUnit file to `junit`."""
        own = [folder.resolve() for folder in self.tests]
        return [
            # Without -P a file in the user's folder could be imported in place of a library.
            *(sys.executable, "-P", "-m", "pytest"),
            *("-c", str(CONFIGURATION), f"--rootdir={self.checks}", "-p", "no:terminal"),
            *(f"-p{plugin}" for plugin in PLUGINS),
            *(f"--lab={self.lab_file.resolve()}", f"--junit-xml={junit}"),
            # So that the user's tests can import modules in their own folder.
            *(["-o", f"pythonpath={shlex.join(map(str, own))}"] if own else []),
            *(["--kubelab-quick"] if self.selection.quick else []),
            *(f"--kubelab-only={name}" for name in self.selection.only),
            *(f"--kubelab-skip={name}" for name in self.selection.skip),
            *(f"--kubelab-own={folder}" for folder in own),
            *map(str, (self.checks, *own)),
        ]


def run_checks(ctx: Context, request: Request, step: str) -> list[Check]:
    """Run the checks and return their results; progress goes to the step `step`.

    Raises ConfigError when the selection matches nothing, ToolFailed when pytest itself failed, Cancelled.
    """
    listener = _Listener(ctx, step)
    with tempfile.TemporaryDirectory(prefix="kubelab-") as folder:
        junit = Path(folder, "junit.xml")
        code = _run(ctx, request.argv(junit), listener)
        listener.refuse(code)
        red = any(check.outcome == "failed" for check in listener.checks)
        if code != (SOME_FAILED if red else 0) or listener.left:
            unrun = [f"{listener.left} of {listener.total} tests were not run"] if listener.left else []
            raise ToolFailed(request.argv(junit), code, "\n".join([*listener.other, *unrun]))
        if request.junit is not None:
            publish(junit, request.junit)
    return listener.checks


def _run(ctx: Context, argv: Sequence[str], listener: _Listener) -> int:
    # Empty counts as unset: the user's environment must not change which checks run.
    env = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "", "PYTEST_PLUGINS": ""}
    env |= ctx.pace.environment
    try:
        run_tool(
            argv,
            deadline=ctx.scaled(DEADLINE),
            env=env,
            on_line=listener.line,
            cancel=ctx.cancel,
            grace=ctx.scaled(GRACE),
            on_end=lambda: ctx.report.info(
                "waiting for the running checks to clean up; press Ctrl-C again to end them at once"
            ),
        )
    except ToolFailed as failed:
        # The reason (deadline or cancel) is in none of the lines it printed.
        listener.ended_by(failed.output.splitlines()[-1:])
        return failed.code
    return 0


class _Listener:
    """Reads the lines of the process: `checks` are the finished tests, `other` all lines but events."""

    def __init__(self, ctx: Context, step: str) -> None:
        self.report = ctx.report
        self.step = step
        self.log = ctx.report.sink("pytest") if isinstance(ctx.report, TeeReporter) else None
        self.total = 0
        self.left = 0
        self.checks: list[Check] = []
        self.other: deque[str] = deque(maxlen=KEPT_LINES)
        self.refused: ConfigError | None = None

    def line(self, line: str) -> None:
        """Read one line of either stream."""
        event = event_of(line)
        if event is not None:
            getattr(self, f"_{event.pop('event')}")(**event)
        else:
            self.other.append(line)
            self._note(line)

    def ended_by(self, lines: Sequence[str]) -> None:
        """Add the last lines of the output, unless they were read already."""
        self.other.extend(line for line in lines if event_of(line) is None and line not in self.other)

    def refuse(self, code: int) -> None:
        """Raise ConfigError if there was no test to run."""
        if self.refused is not None:
            raise self.refused
        if code == NONE_LEFT:
            raise ConfigError(
                "no check matches the selection", hint="select more with --only, --skip or --quick"
            )

    def _collected(self, total: int) -> None:
        self.total = self.left = total

    def _started(self, id: str, sentence: str, node: str) -> None:
        now = f"{sentence} ({node})" if node else sentence
        self.report.progress(f"{self.total - self.left + 1} of {self.total}: {now}", self.step)

    def _finished(self, **fields: Any) -> None:
        check = Check(**fields)
        self.checks.append(check)
        if self.total:
            self.left -= 1
        self._note(f"{check.outcome}: {check.id}")
        if check.outcome == "failed":
            self._note(check.text)
            self.report.warn(f"failed: {check.name}: {check.why.partition(chr(10))[0]}")

    def _empty(self, folder: str) -> None:
        self.refused = ConfigError(
            f"{folder} has no tests", key="--tests", hint="a test is a function test_... in a file test_*.py"
        )

    def _unknown(self, names: list[str], known: list[str]) -> None:
        self.refused = ConfigError(
            "\n".join(f"there is no concern or mark `{name}`{did_you_mean(name, known)}" for name in names),
            hint=f"the concerns and marks are: {', '.join(known)}",
        )

    def _note(self, text: str) -> None:
        if self.log is not None:
            for line in text.splitlines():
                self.log(line)
