"""Which process a lab's relay is: it writes that down itself.

A process is the relay only if it also began when the record says, and runs what a relay runs: numbers of
processes are given again. Nor is a relay ours that the record of a copied folder tells of.
"""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from provision.host.files import PRIVATE, write_atomic
from provision.host.records import read_record
from provision.relay.plan import Plan

MODULE = "provision.relay"
# Where the kernel says, of all that follows a process's name, when it began.
_BEGAN = 19


class Record(BaseModel):
    """Process `pid`, which began `began` clock ticks after the host, what it was told, and where it wrote."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pid: int = Field(gt=1)
    began: int
    file: Path
    plan: Plan


def write_own(file: Path, plan: Plan) -> None:
    """Record this process in `file`."""
    began = _began(os.getpid())
    assert began is not None
    record = Record(pid=os.getpid(), began=began, file=file, plan=plan)
    write_atomic(file, f"{record.model_dump_json(indent=2)}\n", mode=PRIVATE)


def living(file: Path) -> Record | None:
    """Return the record of a relay that runs; None without one, or for a record that tells nothing."""
    try:
        record = read_record(file, Record)
    except (FileNotFoundError, ValueError):
        return None
    moved = record.file != file and not record.file.exists()
    return record if is_relay(record) and (record.file == file or moved) else None


def is_relay(record: Record) -> bool:
    """Return whether the process of a record still is that relay."""
    try:
        words = Path(f"/proc/{record.pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return MODULE.encode() in words and _began(record.pid) == record.began


def _began(pid: int) -> int | None:
    """Return how many clock ticks after the host a process began; None for one that is not there."""
    try:
        # Its name, in brackets, may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[_BEGAN])
