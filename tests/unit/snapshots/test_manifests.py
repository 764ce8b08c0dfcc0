from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provision.errors import ConfigError, MadeByNewer, SnapshotError
from provision.snapshots.manifests import Manifests, children, config_digest
from provision.snapshots.names import check_name
from tests.fakes.config import make_config
from tests.fakes.providers.ids import id_of
from tests.fakes.snapshots import manifest


@pytest.fixture
def store(tmp_path: Path) -> Manifests:
    return Manifests(tmp_path / "snapshots" / "lab", "lab")


def test_a_manifest_is_read_as_it_was_written(store: Manifests) -> None:
    wanted = manifest("a", note='the "first"\nof all')
    store.write(wanted)
    assert store.read("a") == wanted
    assert (wanted.size, wanted.ids) == (12, {"lab-cp1": id_of("1"), "lab-w1": id_of("2")})
    assert store.exists("a")
    assert not store.exists("b")


def test_the_file_has_these_keys(store: Manifests) -> None:
    store.write(manifest("a", good_until=dt.datetime(2027, 1, 1, tzinfo=dt.UTC)))
    document = json.loads((store.folder / "a.json").read_text())
    assert set(document) == {
        *("schemaVersion", "lab", "name", "note", "time", "parent", "live", "verified", "configDigest"),
        *("goodUntil", "kubernetes", "box", "bundle", "nodes", "number", "pauseSpread", "standStill"),
    }
    assert document["schemaVersion"] == 1
    assert document["time"] == "2026-01-02T03:04:05Z"
    assert document["goodUntil"] == "2027-01-01T00:00:00Z"
    assert document["nodes"][0] == {"name": "lab-cp1", "id": id_of("1"), "size": 5}


def test_one_that_says_nothing_of_an_end_or_a_number_is_read(store: Manifests) -> None:
    store.write(manifest("a"))
    file = store.path("a")
    document = json.loads(file.read_text())
    assert (document.pop("goodUntil"), document.pop("number")) == (None, 0)
    file.write_text(json.dumps(document))
    assert store.read("a") == manifest("a")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("", "JSON"),
        ("{", "JSON"),
        ("[]", "dictionary|object"),
        ({"schemaVersion": 0}, "schemaVersion"),
        ({"nodes": None}, "nodes"),
        ({"nodes": [{"name": "lab-cp1"}]}, r"nodes\.0\.id"),
        ({"live": "maybe"}, "live"),
        ({"goodUntil": "soon"}, "goodUntil"),
        ({"time": "2026-01-02T03:04:05"}, "time"),
        ({"goodUntil": "2026-01-02T03:04:05"}, "goodUntil"),
        ({"parent": "../b"}, "parent"),
        ({"nodes": [{"name": "lab-cp1", "id": "innocent --all", "size": 1}]}, r"nodes\.0\.id"),
        ({"name": "b"}, "belongs to `b`"),
        ({"lab": "other"}, "lab other"),
    ],
)
def test_a_broken_manifest_is_told_and_what_to_do(
    store: Manifests, change: str | dict[str, Any], words: str
) -> None:
    store.write(manifest("a"))
    file = store.path("a")
    document = json.loads(file.read_text())
    file.write_text(change if isinstance(change, str) else json.dumps(document | change))
    with pytest.raises(SnapshotError, match=f"(?s)`a` is broken.*({words})") as caught:
        store.read("a")
    assert "kubelab snapshot delete a" in caught.value.hint
    known, broken = store.all()
    assert (known, list(broken)) == ({}, ["a"])
    store.remove("a")
    assert not store.exists("a")


@pytest.mark.parametrize("change", [{"schemaVersion": 2}, {"later": 1}])
def test_a_manifest_of_a_newer_kubelab_is_said_to_be_one_and_never_advised_away(
    store: Manifests, change: dict[str, Any]
) -> None:
    store.write(manifest("a"))
    file = store.path("a")
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(MadeByNewer, match="was made by a newer kubelab") as caught:
        store.read("a")
    assert "delete" not in caught.value.hint
    known, broken = store.all()
    assert (known, list(broken)) == ({}, ["a"])


def test_bytes_that_are_no_text_are_broken_too(store: Manifests) -> None:
    store.folder.mkdir(parents=True)
    store.path("a").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SnapshotError, match="broken"):
        store.read("a")


def test_a_missing_manifest_is_told(store: Manifests) -> None:
    with pytest.raises(SnapshotError, match="no snapshot `a`") as caught:
        store.read("a")
    assert caught.value.hint == "kubelab snapshot list"


def test_all_are_sorted_by_age_and_what_is_no_manifest_is_left_out(store: Manifests) -> None:
    assert store.all() == ({}, {})
    for day, name in ((3, "a"), (1, "b"), (2, "c")):
        store.write(manifest(name, time=dt.datetime(2026, 1, day, tzinfo=dt.UTC)))
    (store.folder / ".a.json.half").write_text("{")
    (store.folder / "README.md").write_text("mine")
    (store.folder / "my notes.json").write_text("{}")
    known, broken = store.all()
    assert (list(known), broken) == (["b", "c", "a"], {})


def test_the_last_that_was_saved_is_the_newest_whatever_the_clock_said(store: Manifests) -> None:
    for year, name in ((2031, "a"), (2026, "b"), (2025, "c")):
        time = dt.datetime(year, 1, 1, tzinfo=dt.UTC)
        store.write(manifest(name, time=time, number=store.next_number()))
    store.write(manifest("before", time=dt.datetime(2032, 1, 1, tzinfo=dt.UTC)))
    known, _ = store.all()
    assert list(known) == ["before", "a", "b", "c"]


def test_the_children_of_a_removed_one_get_its_parent(store: Manifests) -> None:
    for name, parent in (("a", None), ("b", "a"), ("c", "b"), ("d", "b"), ("e", "c")):
        store.write(manifest(name, parent))
    store.remove("b")
    known, _ = store.all()
    assert {name: each.parent for name, each in known.items()} == {"a": None, "c": "a", "d": "a", "e": "c"}
    assert children(known, "a") == ["c", "d"]


@pytest.mark.parametrize("name", ["a", "0", "a-b", "ready", "x" * 63])
def test_names_that_are_allowed(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a.b", "a/b", "../a", "a b", "ä", "a\n", "x" * 64])
def test_names_that_are_not(name: str) -> None:
    with pytest.raises(ConfigError, match="not a valid name for a snapshot") as caught:
        check_name(name)
    assert caught.value.exit_code == 2


@given(st.text())
def test_a_name_that_is_allowed_is_one_plain_word(name: str) -> None:
    try:
        check_name(name)
    except ConfigError:
        return
    assert Path(name).name == name
    assert name.isascii()
    assert not name.startswith("-")


def test_the_digest_is_that_of_what_the_file_says() -> None:
    assert config_digest(make_config()) == config_digest(make_config(workers={"count": 2}))
    assert config_digest(make_config()) != config_digest(make_config(workers={"count": 1}))
