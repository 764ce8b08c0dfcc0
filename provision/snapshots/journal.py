"""What a snapshot command is about to do, written down before it does it.

A command that was killed leaves its journal; the next one reads it and mends what was left half done.
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
    """One command under way: `ids` node -> machine id, `running` the nodes whose machines ran.

    A restore goes through the phases; until "reverting" it has changed nothing that lasts.
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
        """Return the command as the user knows it."""
        return f"kubelab {COMMANDS[self.action]} {self.name}"


def read(workspace: Workspace) -> Journal | None:
    """Return the journal, or None when no command is or was under way."""
    try:
        return Journal.model_validate_json(workspace.journal.read_text())
    except FileNotFoundError:
        return None
    except (ValidationError, UnicodeDecodeError):
        # It is written whole or not at all: this is none of ours, and says nothing.
        return None


def write(workspace: Workspace, journal: Journal) -> None:
    """Write the journal, whole or not at all."""
    write_atomic(workspace.journal, journal.model_dump_json(indent=2) + "\n", mode=PRIVATE)


def remove(workspace: Workspace) -> None:
    """Remove the journal: everything is as it should be."""
    workspace.journal.unlink(missing_ok=True)


def tell(workspace: Workspace, report: Reporter) -> None:
    """Say that a command is under way, or was interrupted and is not mended yet."""
    with contextlib.suppress(OSError):
        journal = read(workspace)
        if journal is None:
            return
        if workspace.busy():
            report.info(f"`{journal.command}` is under way: machines stand still for a moment")
            return
        report.warn(
            f"`{journal.command}` was interrupted at {journal.time:%Y-%m-%d %H:%M:%S} UTC: "
            "machines may stand still. This tries again: kubelab up"
        )
