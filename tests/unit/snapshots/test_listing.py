from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from provision.errors import SnapshotError
from provision.snapshots import actions, preconditions
from provision.snapshots import journal as snapshot_journal
from provision.snapshots.listing import descendants, show_all, show_one, survey, tree
from provision.snapshots.manifests import Manifest, Manifests
from tests.fakes.lab import Lab
from tests.fakes.providers.ids import id_of
from tests.fakes.snapshots import manifest, running_lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return running_lab(tmp_path)


def known(**parents: str | None) -> dict[str, Manifest]:
    return {name: manifest(name, parent) for name, parent in parents.items()}


def rows(lab: Lab) -> list[list[str]]:
    show_all(lab.ctx)
    found: list[list[str]] = lab.report.of("table")[-1]["rows"]
    return found


def result(lab: Lab) -> dict[str, Any]:
    data: dict[str, Any] = lab.report.of("result")[-1]["data"]
    return data


def test_a_lab_without_snapshots_says_so(lab: Lab) -> None:
    show_all(lab.ctx)
    assert lab.report.of("table") == []
    assert result(lab) == {"snapshots": [], "current": None, "strange": []}


def test_the_tree_shows_where_the_lab_stands(lab: Lab) -> None:
    actions.save(lab.ctx, "a", "the first")
    actions.save(lab.ctx, "b")
    shown = rows(lab)
    assert [row[:2] for row in shown] == [["a", ""], ["└ b", "*"]]
    assert (shown[0][4], shown[0][5]) == ("healthy", "the first")
    assert [each["name"] for each in result(lab)["snapshots"]] == ["a", "b"]
    assert (result(lab)["current"], result(lab)["snapshots"][1]["current"]) == ("b", True)


def test_a_snapshot_that_is_gone_from_a_machine_is_told(lab: Lab) -> None:
    actions.save(lab.ctx, "a")
    del lab.backend.vms[id_of("lab-w1")].held["a"]
    assert rows(lab)[0][4] == "missing on lab-w1"
    assert "`a` cannot be restored" in lab.report.of("warn")[0]["text"]
    assert result(lab)["snapshots"][0]["problem"] == "missing on lab-w1"
    del lab.backend.vms[id_of("lab-w2")]
    assert rows(lab)[0][4] == "missing on lab-w1, lab-w2"


def test_a_snapshot_without_a_manifest_is_told(lab: Lab) -> None:
    actions.save(lab.ctx, "a")
    Manifests(lab.ctx.workspace.snapshots, "lab").remove("a")
    del lab.backend.vms[id_of("lab-w1")].held["a"]
    problem = "no manifest, only data on lab-cp1, lab-w2"
    assert rows(lab) == [["a", "", "", "", problem, ""]]
    assert result(lab)["strange"] == [{"name": "a", "problem": problem}]


def test_a_broken_manifest_is_told_once(lab: Lab) -> None:
    actions.save(lab.ctx, "a")
    preconditions.manifests_of(lab.ctx).path("a").write_text("{")
    (row,) = rows(lab)
    assert row[0] == "a"
    assert "broken" in row[4]


def test_a_snapshot_of_other_machines_is_told(lab: Lab) -> None:
    actions.save(lab.ctx, "a")
    lab.machines.known["lab-w1"] = "another"
    assert survey(lab.ctx).problems == {"a": "these nodes were recreated, added or removed since: lab-w1"}
    lab.machines.known.clear()
    assert "lab-cp1, lab-w1, lab-w2" in survey(lab.ctx).problems["a"]


def test_one_snapshot_is_shown_whole(lab: Lab) -> None:
    actions.save(lab.ctx, "a", "first")
    actions.save(lab.ctx, "b")
    show_one(lab.ctx, "a")
    shown = dict(lab.report.of("table")[0]["rows"])
    assert (shown["note"], shown["children"], shown["parent"]) == ("first", "b", "none")
    assert (shown["cluster"], shown["can be restored"]) == ("healthy", "yes")
    assert shown["paused within"] == "8 ms"
    assert result(lab)["nodes"][0]["id"] == id_of("lab-cp1")
    assert result(lab)["current"] is False
    with pytest.raises(SnapshotError):
        show_one(lab.ctx, "nope")


def test_a_tree_is_drawn_from_parents() -> None:
    found = known(a=None, b="a", c="a", d="b", e="gone")
    assert tree(found) == [(0, "a"), (1, "b"), (2, "d"), (1, "c"), (0, "e")]


def test_manifests_that_are_their_own_ancestors_are_shown_once() -> None:
    found = known(a=None, b="c", c="b", d="d")
    assert sorted(name for _, name in tree(found)) == ["a", "b", "c", "d"]
    assert sorted(descendants(found, ["b"])) == ["b", "c"]


def test_descendants_come_before_their_ancestors() -> None:
    found = known(a=None, b="a", c="b", d="a")
    for names in (["a"], ["b", "a"], ["a", "b"], ["c", "a", "b", "d"]):
        order = descendants(found, names)
        assert sorted(order) == ["a", "b", "c", "d"]
        assert order.index("c") < order.index("b") < order.index("a")
        assert order.index("d") < order.index("a")


def test_an_interrupted_command_is_told_and_one_under_way_is_not_called_so(lab: Lab) -> None:
    space = lab.ctx.workspace
    snapshot_journal.report_unfinished(space, lab.report)
    assert lab.report.events == []
    journal = snapshot_journal.Journal(
        action="save", name="a", time=dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC), ids={}
    )
    snapshot_journal.write(space, journal)
    snapshot_journal.report_unfinished(space, lab.report)
    text = lab.report.of("warn")[0]["text"]
    assert "`kubelab snapshot save a` was interrupted at 2026-01-02 03:04:05 UTC" in text
    with space.lock():
        snapshot_journal.report_unfinished(space, lab.report)
    assert "is running now" in lab.report.of("info")[0]["text"]


def test_a_snapshot_of_a_newer_kubelab_is_told_and_not_advised_away(lab: Lab) -> None:
    actions.save(lab.ctx, "a")
    file = preconditions.manifests_of(lab.ctx).path("a")
    file.write_text(json.dumps(json.loads(file.read_text()) | {"schemaVersion": 2}))
    show_all(lab.ctx)
    (told,) = [event["text"] for event in lab.report.of("warn")]
    assert "made by a newer kubelab" in told
    assert "delete" not in told


def test_a_snapshot_that_the_user_made_with_other_tools_is_not_ours(lab: Lab) -> None:
    lab.backend.vms[id_of("lab-w1")].held["My Snap"] = ("now", True)
    show_all(lab.ctx)
    assert lab.report.of("warn") == []


def test_nodes_are_told_by_names_of_their_own(tmp_path: Path) -> None:
    lab = running_lab(tmp_path, nodes={"lab-w1": {"name": "w1-k8s"}})
    actions.save(lab.ctx, "a")
    assert rows(lab)[0][4] == "healthy"
    show_one(lab.ctx, "a")
    assert [row[0] for row in lab.report.of("table")[-1]["rows"]][-4:] == [
        "lab-cp1",
        "w1-k8s",
        "lab-w2",
        "can be restored",
    ]
    del lab.backend.vms[id_of("lab-w1")].held["a"]
    assert rows(lab)[0][4] == "missing on w1-k8s"
