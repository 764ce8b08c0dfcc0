"""Every error kubelab raises on purpose.

LabError                 1   something failed; carries a hint
  ConfigError            2   lab.yaml or the command line is wrong; names the key
    ConfigDrift          2   a field changed that cannot change on a running cluster
  ResourceError          1   the host lacks memory, disk or a device
  MissingTool            1   a program that is needed is not installed
  ToolFailed             1   a program on the host ended with an error
    UnknownAnswer            it ended well, and what it said is not understood
  VagrantError           1   Vagrant or the hypervisor failed
  RemoteError            1   something failed on one node
    ConnectFailed            no SSH session could be opened
    CommandFailed            a command ended with an error
    CommandTimeout           a command did not end before its deadline
  NodesError             1   several nodes failed at once
  WaitTimeout            1   the awaited state did not come in time
  Cancelled              130 interrupted, or another part of the same work failed
  StepFailed             1   wraps any of these with the step's id
  VerifyFailed           3   the cluster is up, but a check failed
  SnapshotError          1   a snapshot could not be saved or restored
    MachineBusy              a machine is still busy with an earlier command
  MadeByNewer            1   a file of the lab was written by a newer kubelab
  Fault                  70  a fault of kubelab itself: wraps an exception that nothing expected
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from provision import reasons

LAST_LINES = 10
# Characters that are shown of the words of an unexpected exception.
LONGEST_REASON = 200


@dataclass(frozen=True)
class Result:
    """The output of a command on both streams, and its exit code."""

    stdout: str
    stderr: str
    code: int

    @property
    def ok(self) -> bool:
        """Return whether the command ended with exit code 0."""
        return self.code == 0


def last_lines(text: str, count: int = LAST_LINES) -> str:
    """Return the last `count` non-empty lines of `text`."""
    return "\n".join([line for line in text.splitlines() if line.strip()][-count:])


class LabError(Exception):
    """An error meant for the user: a message, and a hint that says what to do next."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def details(self) -> str:
        """Return the lines of output that say why, or an empty string."""
        return reasons.why(self.output)

    @property
    def output(self) -> str:
        """Return all that was said by what failed, for the run log; or an empty string."""
        return ""


class ConfigError(LabError):
    """lab.yaml or the command line is wrong; `key` is the path of the offending key."""

    exit_code = 2

    def __init__(self, message: str, *, key: str = "", hint: str = "") -> None:
        super().__init__(f"{key}: {message}" if key else message, hint=hint)
        self.key = key


class ConfigDrift(ConfigError):
    """A field of lab.yaml changed that cannot change on a running cluster."""


class ResourceError(LabError):
    """The host lacks memory, disk or a device."""


class MissingTool(LabError):
    """A program that is needed on the host is not installed."""


class ToolFailed(LabError):
    """A program on the host failed: carries its argv, its exit code and what it said."""

    def __init__(self, argv: Sequence[str], code: int, output: str, *, hint: str = "") -> None:
        super().__init__(f"`{' '.join(argv[:6])}` ended with exit code {code}", hint=hint)
        self.argv = tuple(argv)
        self.code = code
        self._output = output

    @property
    def output(self) -> str:
        return self._output


class UnknownAnswer(ToolFailed):
    """A program on the host ended well, but its output is not what it is known to say."""

    def __init__(self, argv: Sequence[str], said: str, *, hint: str = "") -> None:
        first = next((line for line in said.splitlines() if line.strip()), "nothing")[:LONGEST_REASON]
        super().__init__(argv, 0, f"it said: {first!r}", hint=hint)
        self.message = f"`{' '.join(argv[:6])}` gave an unknown answer"
        self.args = (self.message,)


class VagrantError(ToolFailed):
    """Vagrant failed."""

    @property
    def details(self) -> str:
        return reasons.why(self.output, message=True)


class RemoteError(LabError):
    """Something failed on one node."""

    def __init__(self, node: str, message: str, *, hint: str = "") -> None:
        super().__init__(f"{node}: {message}", hint=hint)
        self.node = node


class ConnectFailed(RemoteError):
    """No SSH session could be opened to a node."""


class CommandFailed(RemoteError):
    """A command on a node ended with an error; carries its Result."""

    def __init__(self, node: str, what: str, result: Result, *, hint: str = "") -> None:
        super().__init__(node, f"`{what}` ended with exit code {result.code}", hint=hint)
        self.what = what
        self.result = result

    @property
    def output(self) -> str:
        return self.result.stderr if self.result.stderr.strip() else self.result.stdout


class CommandTimeout(RemoteError):
    """A command on a node did not end before its deadline (seconds)."""

    def __init__(self, node: str, what: str, deadline: float, output: str = "") -> None:
        super().__init__(node, f"`{what}` did not end within {deadline:.0f} s")
        self.what = what
        self._output = output

    @property
    def output(self) -> str:
        return self._output


class NodesError(LabError):
    """Several nodes failed at once: `errors` maps node name to its error."""

    def __init__(self, errors: Mapping[str, LabError]) -> None:
        first = next(iter(errors.values()))
        lines = "\n".join(str(error) for error in errors.values())
        super().__init__(f"{len(errors)} nodes failed:\n{lines}", hint=first.hint)
        self.errors = dict(errors)

    @property
    def details(self) -> str:
        return self._of_each(lambda error: error.details)

    @property
    def output(self) -> str:
        return self._of_each(lambda error: error.output)

    def _of_each(self, text: Callable[[LabError], str]) -> str:
        return "\n".join(
            f"[{node}] {line}" for node, error in self.errors.items() for line in text(error).splitlines()
        )


class WaitTimeout(LabError):
    """The awaited state did not come in time; the message says what was seen last."""


class Cancelled(LabError):
    """Work was cancelled because of Ctrl-C or because another part of it failed."""

    exit_code = 130


class StepFailed(LabError):
    """A step of `up` failed; `cause` is what went wrong."""

    def __init__(self, step_id: str, cause: LabError) -> None:
        super().__init__(cause.message, hint=cause.hint)
        self.step_id = step_id
        self.cause = cause
        self.exit_code = cause.exit_code

    @property
    def details(self) -> str:
        return self.cause.details

    @property
    def output(self) -> str:
        return self.cause.output


class VerifyFailed(LabError):
    """The cluster is up, but a check failed."""

    exit_code = 3


class SnapshotError(LabError):
    """A snapshot could not be saved, restored or deleted."""


class MachineBusy(SnapshotError):
    """A machine is still busy with an earlier command, and accepts no other now."""


class MadeByNewer(LabError):
    """A file of the lab was written by a newer kubelab; `what` is in it that this one does not know."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(
            f"{path} was made by a newer kubelab: this one does not know its `{what}`",
            hint="use the kubelab that made it; that file is of use to it",
        )


class Fault(LabError):
    """A fault of kubelab itself: wraps an exception that nothing expected, and says where it was raised.

    `logged` says whether its traceback is in the run log.
    """

    exit_code = 70

    def __init__(self, error: BaseException, *, logged: bool = False) -> None:
        said = next((line for line in str(error).splitlines() if line.strip()), "")[:LONGEST_REASON]
        reason = f": {said}" if said else ""
        what = "the log" if logged else "what --debug prints"
        super().__init__(
            f"{type(error).__name__} in {place_of(error)}{reason}; "
            f"this is a fault of kubelab: report it with {what}"
        )
        self.__cause__ = error


def place_of(error: BaseException) -> str:
    """Return where in this package an exception was raised, or passed through last: "provision.cli:12"."""
    place = "an unknown place"
    trace = error.__traceback__
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__"))
        if module.partition(".")[0] == __package__:
            place = f"{module}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def in_one_line(error: BaseException) -> str:
    """Return an error in one line; the same cause always gives the same line."""
    detail = last_lines(error.details, 1) if isinstance(error, LabError) else ""
    if detail and isinstance(error, ToolFailed):
        # The messages of kubectl and virsh are clear without the command line.
        return detail
    said = " ".join(str(error).split())
    return f"{said}: {detail}" if detail else said
