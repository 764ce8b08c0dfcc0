from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import filelock
import pytest

from provision.artifacts import cache
from provision.artifacts import choose as auto
from provision.artifacts.bundle import Bundle, BundleBroken, entry_of, write_index
from provision.artifacts.given import GivenBundle
from provision.artifacts.source import origin
from provision.artifacts.wanted import Wanted
from provision.config.artifacts import ArtifactsConfig
from provision.config.schema import ClusterConfig
from provision.errors import Cancelled, ConfigError
from provision.lab.artifacts import artifacts_of
from provision.report.base import RecordingReporter

DIGEST = f"sha256:{'a' * 64}"
PAUSE = "registry.example/pause:3.10"


def make_bundle(root: Path, kubernetes: str = "1.36.3") -> Path:
    for name, content in {"binaries/kubelet": b"kubelet", "images/pause.tar": b"pause image"}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    entries = [
        entry_of(root, "binaries/kubelet", "binary", version="v1.36.3"),
        entry_of(root, "images/pause.tar", "image", ref=PAUSE),
    ]
    write_index(root, kubernetes=kubernetes, source="source", recipe="abc", entries=entries)
    return root


def edit_index(root: Path, **fields: object) -> None:
    index = root / "index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), **fields}))


def first_entry(root: Path, **fields: object) -> list[dict[str, object]]:
    entry = json.loads((root / "index.json").read_text())["entries"][0]
    return [{**entry, **fields}]


def choose(kubernetes: str, kind: str, location: object = "") -> auto.Artifacts:
    where = ArtifactsConfig.model_construct(kind=kind, location=str(location))
    lab = ClusterConfig(name="lab").model_copy(update={"kubernetes": kubernetes, "artifacts": where})
    return artifacts_of(lab)


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    bundle = Bundle.open(make_bundle(tmp_path))
    bundle.verify()
    assert (bundle.kubernetes, bundle.source, bundle.recipe) == ("1.36.3", "source", "abc")
    assert [entry.name for entry in bundle.binaries()] == ["kubelet"]
    assert bundle.manifests() == ()
    assert bundle.image("pause").ref == PAUSE
    assert bundle.path(bundle.image("pause")).read_bytes() == b"pause image"
    assert bundle.size == len(b"kubelet") + len(b"pause image")


def test_the_same_files_have_the_same_digest_wherever_they_lie(tmp_path: Path) -> None:
    one, two = Bundle.open(make_bundle(tmp_path / "a")), Bundle.open(make_bundle(tmp_path / "b"))
    assert one.digest == two.digest


def test_a_folder_that_is_no_bundle_is_never_advised_away(tmp_path: Path) -> None:
    # It may be anything, such as the user's home folder.
    with pytest.raises(BundleBroken) as error:
        choose("1.36", "bundle", tmp_path)
    assert str(tmp_path) in error.value.message
    assert "delete" not in error.value.hint
    assert "bundle create" in error.value.hint


def test_a_changed_byte_is_found_on_verify(tmp_path: Path) -> None:
    bundle = Bundle.open(make_bundle(tmp_path))
    (tmp_path / "binaries/kubelet").write_bytes(b"kubelex")
    with pytest.raises(BundleBroken) as error:
        bundle.verify()
    assert error.value.path == "binaries/kubelet"
    assert error.value.expected in error.value.message
    assert error.value.got in error.value.message
    assert error.value.got != error.value.expected


@pytest.mark.parametrize(("content", "got"), [(b"kube", "4 bytes"), (None, "no such file")])
def test_a_short_or_missing_file_is_found_on_open(tmp_path: Path, content: bytes | None, got: str) -> None:
    make_bundle(tmp_path)
    file = tmp_path / "binaries/kubelet"
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BundleBroken, match=got) as error:
        Bundle.open(tmp_path)
    assert error.value.path == "binaries/kubelet"
    assert "7 bytes" in error.value.message


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"schema": 2}',
        '{"schema": 1}',
        '{"schema": 1, "entries": [3]}',
        "\udcff",
        "[" * 200_000,
        '{"schema": 1}' + " " * 2**20,
    ],
    ids=lambda text: text[:30],
)
def test_an_index_that_is_no_index_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "index.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(BundleBroken) as error:
        Bundle.open(tmp_path)
    assert error.value.path == "index.json"


def test_an_index_that_nobody_writes_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "index.json")
    with pytest.raises(BundleBroken, match="not a regular file"):
        Bundle.open(tmp_path)


def test_a_folder_without_an_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleBroken, match=r"index\.json"):
        Bundle.open(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "fields",
    [{"path": "../secret"}, {"path": "/etc/passwd"}, {"path": ""}, {"kind": "rpm"}, {"size": "many"}],
)
def test_an_entry_stays_inside_the_bundle_and_is_of_a_known_kind(
    tmp_path: Path, fields: dict[str, object]
) -> None:
    make_bundle(tmp_path)
    edit_index(tmp_path, entries=first_entry(tmp_path, **fields))
    with pytest.raises(BundleBroken) as error:
        Bundle.open(tmp_path)
    assert error.value.path == "index.json"


@pytest.mark.parametrize("kubernetes", ["1.36", "1.36.3"])
def test_a_given_bundle_is_used_in_place(tmp_path: Path, kubernetes: str) -> None:
    artifacts = choose(kubernetes, "bundle", make_bundle(tmp_path))
    assert artifacts.kubernetes == "1.36.3"
    found = artifacts.find()
    assert found is not None
    assert artifacts.build(RecordingReporter()) == found
    assert (found.root, artifacts.key) == (tmp_path, found.digest)


@pytest.mark.parametrize("kubernetes", ["1.35", "1.3", "1.36.30"])
def test_a_given_bundle_of_another_version_is_refused(tmp_path: Path, kubernetes: str) -> None:
    with pytest.raises(ConfigError, match=r"holds Kubernetes 1\.36\.3") as error:
        choose(kubernetes, "bundle", make_bundle(tmp_path))
    assert error.value.key == "artifacts.bundle"


def test_a_broken_given_bundle_is_neither_used_nor_removed(tmp_path: Path) -> None:
    artifacts = choose("1.36", "bundle", make_bundle(tmp_path))
    (tmp_path / "binaries/kubelet").write_bytes(b"kubelex")
    with pytest.raises(BundleBroken):
        artifacts.build(RecordingReporter())
    assert (tmp_path / "images/pause.tar").exists()


def test_a_cached_bundle_is_found_by_its_key_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBELAB_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    artifacts = choose("1.36", "auto")
    assert artifacts.find() is None
    root = make_bundle(tmp_path / "bundles" / artifacts.key)
    found = artifacts.find()
    assert found is not None
    assert found.root == root
    assert artifacts.build(RecordingReporter()) == found
    (root / "binaries/kubelet").unlink()
    assert artifacts.find() is None


def test_waiting_for_another_builder_can_be_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBELAB_CACHE", str(tmp_path))
    monkeypatch.setattr(cache, "LOCK_POLL", 0.01)
    artifacts = choose("1.36", "source")
    lock = tmp_path / "bundles" / f"{artifacts.key}.lock"
    lock.parent.mkdir()
    cancel = threading.Event()
    cancel.set()
    reporter = RecordingReporter()
    with filelock.FileLock(lock), pytest.raises(Cancelled):
        artifacts.build(reporter, cancel)
    assert "another kubelab" in reporter.of("progress")[0]["text"]


def test_every_version_of_the_source_resolves_to_itself() -> None:
    assert all(origin.resolve(version).kubernetes == version for version in origin.versions())


@pytest.mark.parametrize(
    ("ref", "there"),
    [
        ("a.test/b:1", True),
        (f"a.test/b:1@{DIGEST}", True),
        ("a.test/b:2", False),
        (f"a.test/b@{DIGEST}", False),
    ],
)
def test_an_image_is_there_by_its_tag_and_held_to_a_digest(tmp_path: Path, ref: str, there: bool) -> None:
    (tmp_path / "b.tar").write_text("b")
    entry = entry_of(tmp_path, "b.tar", "image", ref="a.test/b:1", digest=DIGEST)
    write_index(tmp_path, kubernetes="1.36.3", source="test", recipe="0", entries=[entry])
    bundle = Bundle.open(tmp_path)
    assert bundle.has_image(ref) is there
    assert not bundle.has_image(f"a.test/b:1@sha256:{'0' * 64}")
    assert GivenBundle(bundle).has(Wanted((ref,))) is there
