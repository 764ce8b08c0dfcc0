"""The journal of a snapshot command: what it is about to do, written before it does it.

A command that was killed leaves its journal; the next command reads it and recovers (see recovery.py).
"""

from __future__ import annotations

import contextlib
from typing import Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from provision.errors import LabError, SnapshotError
from provision.host.files import PRIVATE, write_atomic
from provision.host.records import read_record
from provision.report.base import Reporter
from provision.snapshots.names import MachineId, SnapshotName
from provision.workspace import Workspace

Phase = Literal["started", "reverting", "repairing"]
COMMANDS = {"save": "snapshot save", "restore": "snapshot restore", "delete": "snapshot delete"}


class Journal(BaseModel):
    """One running command: `ids` maps node -> machine id, `running` lists the nodes whose machines ran.

    A restore goes through the phases; before "reverting" it has changed nothing permanently.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_version: Literal[1] = Field(default=1, alias="schemaVersion")
    action: Literal["save", "restore", "delete"]
    name: SnapshotName
    time: AwareDatetime
    ids: dict[str, MachineId]
    running: tuple[str, ...] = ()
    phase: Phase = "started"

    @model_validator(mode="after")
    def _running_are_there(self) -> Self:
        if not set(self.running) <= set(self.ids):
            raise ValueError("`running` has nodes that `ids` has not")
        return self

    @property
    def command(self) -> str:
        """Return the command line that the user typed."""
        return f"kubelab {COMMANDS[self.action]} {self.name}"


def read(workspace: Workspace) -> Journal | None:
    """Return the journal, or None when no command is running or was interrupted.

    Raises MadeByNewer, and SnapshotError for a file that is no journal: machines may be paused, and what has
    to be done for them is not known.
    """
    try:
        return read_record(workspace.journal, Journal)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise SnapshotError(
            f"{workspace.journal}, the journal of an interrupted snapshot command, is damaged: {error}",
            hint="remove that file, then: kubelab up, which resumes machines that are paused",
        ) from None


def read_own(workspace: Workspace) -> Journal | None:
    """Return the journal that this command wrote, or None when that is not there any more."""
    try:
        return read(workspace)
    except LabError:
        return None


def write(workspace: Workspace, journal: Journal) -> None:
    """Write the journal, atomically."""
    write_atomic(workspace.journal, journal.model_dump_json(by_alias=True, indent=2) + "\n", mode=PRIVATE)


def remove(workspace: Workspace) -> None:
    """Remove the journal: the command is complete."""
    workspace.journal.unlink(missing_ok=True)


def report_unfinished(workspace: Workspace, report: Reporter) -> None:
    """Report a snapshot command that is running now, or that was interrupted and not recovered yet."""
    with contextlib.suppress(OSError, LabError):
        journal = read(workspace)
        if journal is None:
            return
        if workspace.busy():
            report.info(f"`{journal.command}` is running now: machines are paused for a moment")
            return
        report.warn(
            f"`{journal.command}` was interrupted at {journal.time:%Y-%m-%d %H:%M:%S} UTC: "
            "machines may still be paused. To recover: kubelab up"
        )
