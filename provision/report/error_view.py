"""The parts of an error that are shown: what failed, where, the details, and what to do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from provision.errors import (
    CommandFailed,
    CommandTimeout,
    LabError,
    NodesError,
    RemoteError,
    StepFailed,
    ToolFailed,
)

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class ErrorView:
    """The parts of an error that are shown; empty ones are left out."""

    kind: str
    message: str
    step: str = ""
    nodes: tuple[str, ...] = ()
    command: str = ""
    details: str = ""
    hint: str = ""
    exit_code: int = 1

    @classmethod
    def of(cls, error: BaseException) -> ErrorView:
        """Return the view of any error; an exception other than LabError has only its kind and message."""
        if isinstance(error, ShownError):
            return error.view
        if isinstance(error, StepFailed):
            return replace(cls.of(error.cause), step=error.step_id)
        kind = type(error).__name__
        if not isinstance(error, LabError):
            return cls(kind, f"{kind}: {error}" if str(error) else kind)
        return cls(
            kind,
            error.message,
            nodes=_nodes(error),
            command=_command(error),
            details=error.details,
            hint=error.hint,
            exit_code=error.exit_code,
        )

    def mapped(self, clean: Callable[[str], str]) -> ErrorView:
        """Return the same view with `clean` applied to every text."""
        return replace(
            self,
            message=clean(self.message),
            command=clean(self.command),
            details=clean(self.details),
            hint=clean(self.hint),
        )

    @property
    def given_up(self) -> bool:
        """Return whether the work was cancelled, so that nothing failed here."""
        return self.kind == "Cancelled"

    def lines(self, step: str | None, log: Path | None, resume: str | None) -> list[str]:
        """Return the lines that are shown below the message."""
        labelled = [
            ("step", self.step or step),
            ("node" if len(self.nodes) == 1 else "nodes", ", ".join(self.nodes)),
            ("command", self.command),
        ]
        after = [("try", self.hint), ("log", log), ("resume", resume)]
        return [
            *(f"{label}: {text}" for label, text in labelled if text),
            *(f"| {line}" for line in self.details.splitlines()),
            *(f"{label}: {text}" for label, text in after if text),
        ]


def outputs(error: BaseException) -> list[tuple[str, str]]:
    """Return what failed and everything it said, of an error and of those that it wraps."""
    if isinstance(error, StepFailed):
        return outputs(error.cause)
    if isinstance(error, NodesError):
        return [found for each in error.errors.values() for found in outputs(each)]
    if isinstance(error, ToolFailed):
        return [(Path(error.argv[0]).name, error.output)]
    return [(error.node, error.output)] if isinstance(error, RemoteError) else []


class ShownError(LabError):
    """Replaces an error, with secrets removed from its texts."""

    def __init__(self, view: ErrorView) -> None:
        super().__init__(view.message, hint=view.hint)
        self.view = view
        self.exit_code = view.exit_code

    @property
    def details(self) -> str:
        return self.view.details


def _nodes(error: LabError) -> tuple[str, ...]:
    if isinstance(error, NodesError):
        return tuple(error.errors)
    return (error.node,) if isinstance(error, RemoteError) else ()


def _command(error: LabError) -> str:
    if isinstance(error, ToolFailed):
        return " ".join(error.argv)
    return error.what if isinstance(error, CommandFailed | CommandTimeout) else ""
