"""What the next `kubelab start` has to know of a lab whose machines were stopped or are starting.

It is written before a machine is changed and removed once the cluster is ready again. So a start that was
killed half-way leaves it, and the next `start` or `up` goes on.
"""

from __future__ import annotations

import datetime as dt
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from provision.errors import LabError
from provision.host.files import PRIVATE, write_atomic
from provision.host.records import read_record
from provision.workspace import Workspace


class StartRecord(BaseModel):
    """`time` is when the memory was saved, or else when the machines began to start.

    `booted` are the nodes that came up without their memory. `verified`: the cluster was ready when it was
    saved. `good_until`: until then no certificate or token of its nodes expires; None when that is not known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    schema_version: Literal[1] = 1
    time: AwareDatetime
    booted: tuple[str, ...] = ()
    verified: bool = True
    good_until: AwareDatetime | None = None


# Of a lab that something else saved, such as libvirt-guests: nothing is known of when and how.
UNKNOWN = StartRecord(time=dt.datetime.fromtimestamp(0, dt.UTC))


def read(workspace: Workspace) -> StartRecord | None:
    """Return the record, or None without one; raises MadeByNewer, and LabError for a damaged one."""
    try:
        return read_record(workspace.start_record, StartRecord)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise LabError(
            f"{workspace.start_record} is damaged: {error}",
            hint="remove that file, then: kubelab start, which looks at every node",
        ) from None


def write(workspace: Workspace, record: StartRecord) -> None:
    """Write the record, atomically."""
    text = record.model_dump_json(by_alias=True, indent=2)
    write_atomic(workspace.start_record, f"{text}\n", mode=PRIVATE)


def remove(workspace: Workspace) -> None:
    """Remove the record: the cluster is ready, or is at another point in time."""
    workspace.start_record.unlink(missing_ok=True)
