"""The record of the last verification of a lab, kept in its state folder."""

from __future__ import annotations

from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from provision.errors import MadeByNewer
from provision.host.files import PRIVATE, write_atomic
from provision.host.records import read_record
from provision.workspace import Workspace


class VerifyRecord(BaseModel):
    """One verification: `time` is when it ended (UTC), `failures` are the failed checks, as sentences.

    `quick`: only the quick checks ran; `seconds` is how long it took.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    time: AwareDatetime
    green: bool
    quick: bool
    passed: int = Field(ge=0)
    failed: int = Field(ge=0)
    skipped: int = Field(ge=0)
    seconds: float = Field(ge=0)
    failures: tuple[str, ...] = ()


def read(workspace: Workspace) -> VerifyRecord | None:
    """Return the last verification, or None when there is no valid record."""
    try:
        return read_record(_path(workspace), VerifyRecord)
    except (FileNotFoundError, ValueError, MadeByNewer):
        # Nothing but the status shows it, and the next verification writes it anew.
        return None


def write(workspace: Workspace, record: VerifyRecord) -> None:
    """Write the record of the last verification, atomically."""
    write_atomic(_path(workspace), record.model_dump_json(indent=2) + "\n", mode=PRIVATE)


def forget(workspace: Workspace) -> None:
    """Remove the record, of a cluster that is gone."""
    _path(workspace).unlink(missing_ok=True)


def _path(workspace: Workspace) -> Path:
    return workspace.state / "verify.json"
