from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from provision.errors import MadeByNewer, SnapshotError
from provision.snapshots import journal as snapshot_journal
from provision.snapshots.journal import Journal
from provision.snapshots.recovery import recover
from provision.workspace import Workspace
from tests.fakes.providers.ids import id_of
from tests.fakes.snapshots import running_lab

# As it was written before journals told their version.
WRITTEN = {
    "action": "save",
    "name": "a",
    "time": "2026-01-02T03:04:05Z",
    "ids": {"lab-cp1": id_of("lab-cp1")},
    "running": ["lab-cp1"],
    "phase": "started",
}


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    made = Workspace(tmp_path, "lab")
    made.prepare()
    return made


def put(space: Workspace, **changes: Any) -> None:
    space.journal.write_text(json.dumps(WRITTEN | changes))


def test_a_journal_is_read_as_it_was_written(space: Workspace) -> None:
    put(space)
    found = snapshot_journal.read(space)
    assert found == Journal.model_validate(WRITTEN)
    snapshot_journal.write(space, found)
    assert snapshot_journal.read(space) == found
    assert json.loads(space.journal.read_text()) == WRITTEN | {"schemaVersion": 1}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "../../../../victim/config"}, "name"),
        ({"name": "A"}, "name"),
        ({"ids": {"lab-cp1": "innocent"}}, "not the id of a machine"),
        ({"ids": {"lab-cp1": f"{id_of('lab-cp1')}; destroy innocent"}}, "not the id of a machine"),
        ({"ids": {"lab-cp1": f"{id_of('lab-cp1')}\n"}}, "not the id of a machine"),
        ({"running": ["lab-w1"]}, "`running` has nodes"),
        ({"time": "2026-01-02T03:04:05"}, "time"),
        ({"phase": "mending"}, "phase"),
        ({"schemaVersion": 0}, "schemaVersion"),
    ],
)
def test_a_journal_that_kubelab_did_not_write_is_never_followed(
    space: Workspace, changes: dict[str, Any], words: str
) -> None:
    put(space, **changes)
    with pytest.raises(SnapshotError, match=f"(?s)the journal of .* is damaged: .*{words}") as told:
        snapshot_journal.read(space)
    assert "kubelab up" in told.value.hint


@pytest.mark.parametrize("text", ["", "{", "[]", "\udcff", "[" * 100_000, "x" * (2**20 + 1)])
def test_a_cut_journal_is_told_and_not_overwritten(tmp_path: Path, text: str) -> None:
    lab = running_lab(tmp_path)
    file = lab.ctx.workspace.journal
    file.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(SnapshotError, match="is damaged"):
        recover(lab.ctx)
    assert file.read_bytes() == text.encode(errors="surrogateescape")
    assert lab.backend.calls == []


@pytest.mark.parametrize("changes", [{"schemaVersion": 2}, {"later": 1}, {"schemaVersion": 2, "ids": []}])
def test_the_journal_of_a_newer_kubelab_is_left_to_it(space: Workspace, changes: dict[str, Any]) -> None:
    put(space, **changes)
    with pytest.raises(MadeByNewer, match="made by a newer kubelab") as caught:
        snapshot_journal.read(space)
    assert "use the kubelab that made it" in caught.value.hint


def test_a_pipe_in_the_place_of_a_journal_is_not_waited_for(space: Workspace) -> None:
    os.mkfifo(space.journal)
    with pytest.raises(SnapshotError, match="not a regular file"):
        snapshot_journal.read(space)
