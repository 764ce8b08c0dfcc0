"""The journal of a snapshot command: what it is about to do, written before it does it.

A command that was killed leaves its journal; the next command reads it and recovers (see recovery.py).
"""

from __future__ import annotations

import contextlib
import datetime as dt
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from provision.host.files import PRIVATE, write_atomic
from provision.report.base import Reporter
from provision.workspace import Workspace

Phase = Literal["started", "reverting", "repairing"]
COMMANDS = {"save": "snapshot save", "restore": "snapshot restore", "delete": "snapshot delete"}


class Journal(BaseModel):
    """One running command: `ids` maps node -> machine id, `running` lists the nodes whose machines ran.

    A restore goes through the phases; before "reverting" it has changed nothing permanently.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Literal["save", "restore", "delete"]
    name: str
    time: dt.datetime
    ids: dict[str, str]
    running: tuple[str, ...] = ()
    phase: Phase = "started"

    @property
    def command(self) -> str:
        """Return the command line that the user typed."""
        return f"kubelab {COMMANDS[self.action]} {self.name}"


def read(workspace: Workspace) -> Journal | None:
    """Return the journal, or None when no command is running or was interrupted."""
    try:
        return Journal.model_validate_json(workspace.journal.read_text())
    except FileNotFoundError:
        return None
    except (ValidationError, UnicodeDecodeError):
        # Written atomically, so this file did not come from kubelab.
        return None


def write(workspace: Workspace, journal: Journal) -> None:
    """Write the journal, atomically."""
    write_atomic(workspace.journal, journal.model_dump_json(indent=2) + "\n", mode=PRIVATE)


def remove(workspace: Workspace) -> None:
    """Remove the journal: the command is complete."""
    workspace.journal.unlink(missing_ok=True)


def report_unfinished(workspace: Workspace, report: Reporter) -> None:
    """Report a snapshot command that is running now, or that was interrupted and not recovered yet."""
    with contextlib.suppress(OSError):
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
