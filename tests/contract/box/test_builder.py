from __future__ import annotations

import json
import os
import shutil
import tarfile
import threading
from pathlib import Path

import pytest

from provision.artifacts.bundle import Bundle
from provision.box import builder as module
from provision.box.builder import BoxBuilder
from provision.box.recipe import BoxRecipe, base_key
from provision.errors import Cancelled, ConfigError, MissingTool, ResourceError, ToolFailed
from provision.host.locks import try_lock
from provision.report.base import RecordingReporter
from tests.fakes.artifacts.bundle import make_bundle

STUBS = {
    "sudo": 'shift; exec "$@"',
    "apt-get": "echo 'Debian|main|bookworm|http://deb.example/debian'",
    "mmdebstrap": """
set -eu
folder=$(mktemp -d)
mkdir -p "${folder:?}"
mkdir -p "$folder/var/lib/dpkg"
printf 'Package: containerd\\nVersion: 1.7.24~ds1-6\\n' > "$folder/var/lib/dpkg/status"
for each in "$@"; do case $each in
--include=*tree*) printf '\\nPackage: tree\\nVersion: 2.2.1-1\\n' >> "$folder/var/lib/dpkg/status";;
esac; done
for last in "$@"; do case $last in /*.tar) tar -cf "$last" -C "$folder" ./var;; esac; done
""",
    # The last five arguments are those of assemble.sh.
    "unshare": """
while [ $# -gt 5 ]; do shift; done
grep -q dpkg "$2" && test -e "$3/index.json" && grep -q pause "$4/etc/containerd/config.toml" || exit 9
mkdir -p "$1/root/proc"; echo "disk of $5 MiB" > "$1/disk.raw"
""",
    "qemu-img": 'while [ $# -gt 2 ]; do shift; done; cp "$1" "$2"',
}


class Builder:
    """A BoxBuilder whose programs are stubs that note their calls, with a cache of its own."""

    def __init__(self, root: Path) -> None:
        self.bin = root / "stubs"
        self.log = root / "calls"
        self.cache = root / "cache"
        self.report = RecordingReporter()
        self.cancel = threading.Event()
        self.bundle: Bundle = make_bundle(root / "bundle")
        self.recipe = BoxRecipe("1.36.3", self.bundle.digest)
        self.bin.mkdir()
        for name, body in STUBS.items():
            self.program(name, body)

    def program(self, name: str, body: str) -> None:
        (self.bin / name).write_text(f"#!/bin/sh\necho {name} >> '{self.log}'\n{body}\n")
        (self.bin / name).chmod(0o755)

    def build(self) -> Path:
        return BoxBuilder(self.report, self.cancel).find_or_build(self.recipe, self.bundle)

    @property
    def calls(self) -> list[str]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line for line in lines if line != "sudo"]

    @property
    def left(self) -> set[str]:
        """Return the files and folders in the cache, without the lock and what is in a box's folder."""
        every = {path.relative_to(self.cache).as_posix() for path in self.cache.glob("*/*")}
        return every - {"boxes/.lock"}


BASE = f"rootfs/{base_key()}.tar"


@pytest.fixture
def builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Builder:
    made = Builder(tmp_path)
    monkeypatch.setenv("PATH", f"{made.bin}:{os.environ['PATH']}")
    monkeypatch.setenv("KUBELAB_CACHE", str(made.cache))
    monkeypatch.setattr(module, "NEEDED_MIB", 0)
    return made


def test_a_box_holds_the_disk_and_what_vagrant_asks_for(builder: Builder) -> None:
    file = builder.build()
    assert file == builder.recipe.file
    with tarfile.open(file) as box:
        names = box.getnames()
        disk, metadata = box.extractfile("box.img"), box.extractfile("metadata.json")
        assert disk is not None and metadata is not None
        assert disk.read() == f"disk of {module.DISK_GIB * 1024} MiB\n".encode()
        described = json.load(metadata)
    assert set(names) == {"metadata.json", "Vagrantfile", "box.img"}
    assert described == {"provider": "libvirt", "format": "qcow2", "virtual_size": module.DISK_GIB}
    # Vagrant detects compression by itself, and an uncompressed tar is what unpacks at once.
    assert file.read_bytes()[257:262] == b"ustar"


def test_nothing_but_base_and_box_is_left(builder: Builder) -> None:
    builder.build()
    assert builder.left == {BASE, f"boxes/{builder.recipe.key}"}
    assert not list(builder.recipe.folder.glob("*.img"))
    contents = json.loads((builder.recipe.folder / "contents.json").read_text())
    assert contents["kubernetes"] == "1.36.3"
    assert contents["name"] == builder.recipe.name


def test_a_box_in_the_cache_is_used_as_it_is(builder: Builder) -> None:
    builder.build()
    before = builder.calls, builder.recipe.file.stat().st_mtime_ns
    builder.build()
    assert (builder.calls, builder.recipe.file.stat().st_mtime_ns) == before


def test_waiting_for_another_build_is_told_and_can_be_given_up(builder: Builder) -> None:
    builder.cancel.set()
    with try_lock(builder.cache / "boxes/.lock"), pytest.raises(Cancelled):
        builder.build()
    assert [event["text"] for event in builder.report.of("info")] == [
        "another kubelab command is building a box; waiting for it"
    ]
    assert builder.calls == []


def test_another_box_starts_from_the_same_base(builder: Builder) -> None:
    builder.build()
    builder.recipe = BoxRecipe("1.36.3", "another")
    builder.build()
    assert [builder.calls.count(name) for name in ("mmdebstrap", "unshare")] == [1, 2]


def test_labs_without_packages_of_their_own_share_one_base(builder: Builder) -> None:
    plain, with_tree = builder.recipe, BoxRecipe("1.36.3", builder.bundle.digest, ("tree",))
    for recipe in (with_tree, plain, with_tree):
        builder.recipe = recipe
        builder.build()
    bases = {BASE, f"rootfs/{with_tree.base_key}.tar"}
    assert builder.left == {*bases, f"boxes/{plain.key}", f"boxes/{with_tree.key}"}
    assert builder.calls.count("mmdebstrap") == 2


@pytest.mark.parametrize(
    "words",
    [
        "E: Unable to locate package nosuch",
        "Error: Unable to locate package nosuch",
        "E: Package 'nosuch' has no installation candidate",
    ],
)
def test_a_package_that_debian_does_not_have_is_told_in_apts_words(builder: Builder, words: str) -> None:
    builder.recipe = BoxRecipe("1.36.3", builder.bundle.digest, ("tree", "nosuch"))
    builder.program("mmdebstrap", f'echo "{words}" >&2; echo "E: apt-get --yes failed" >&2; exit 1')
    with pytest.raises(ConfigError) as caught:
        builder.build()
    assert (caught.value.key, caught.value.exit_code) == ("packages", 2)
    assert caught.value.message == f"packages: Debian trixie has no package called nosuch: {words}"
    assert builder.left == set()


def test_what_apt_does_not_find_of_the_nodes_own_is_not_put_down_to_lab_yaml(builder: Builder) -> None:
    builder.recipe = BoxRecipe("1.36.3", builder.bundle.digest, ("tree",))
    builder.program("mmdebstrap", 'echo "E: Unable to locate package containerd" >&2; exit 1')
    with pytest.raises(ToolFailed):
        builder.build()


def test_a_name_that_apt_takes_for_something_else_is_refused(builder: Builder) -> None:
    builder.recipe = BoxRecipe("1.36.3", builder.bundle.digest, ("tree", "t.ee"))
    with pytest.raises(ConfigError, match=r"no package called t\.ee: apt took it for something else"):
        builder.build()
    assert builder.left == set()


@pytest.mark.parametrize(
    ("name", "body", "kept"),
    [
        ("mmdebstrap", "exit 5", set()),
        ("mmdebstrap", f"{STUBS['mmdebstrap']}\nexit 5", set()),
        ("unshare", f"{STUBS['unshare']}\nexit 5", {BASE}),
        ("qemu-img", f"{STUBS['qemu-img']}\nexit 5", {BASE}),
    ],
    ids=["base", "base half made", "disk", "image"],
)
def test_after_a_failure_nothing_half_made_is_left_and_the_next_build_works(
    builder: Builder, name: str, body: str, kept: set[str]
) -> None:
    builder.program(name, f"echo 'no room' >&2\n{body}")
    with pytest.raises(ToolFailed) as caught:
        builder.build()
    assert caught.value.code == 5
    assert "no room" in caught.value.details
    assert builder.left == kept
    builder.program(name, STUBS[name])
    assert builder.build().exists()


def test_a_program_that_is_missing_is_named(builder: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sh", "env", "grep", "mkdir", "mktemp", "tar", "cp", "rm"):
        (builder.bin / name).symlink_to(shutil.which(name) or "/missing")
    (builder.bin / "qemu-img").unlink()
    monkeypatch.setenv("PATH", str(builder.bin))
    with pytest.raises(MissingTool, match="qemu-img"):
        builder.build()
    assert builder.left == {BASE}


@pytest.mark.parametrize(("name", "kept"), [("mmdebstrap", set()), ("unshare", {BASE}), ("qemu-img", {BASE})])
def test_giving_up_ends_the_program_and_removes_what_it_made(
    builder: Builder, monkeypatch: pytest.MonkeyPatch, name: str, kept: set[str]
) -> None:
    builder.program(name, f"{STUBS[name]}\necho 'at work'\nexec sleep 600")

    def progress(text: str, step: str = "") -> None:
        if text == "at work":
            builder.cancel.set()

    monkeypatch.setattr(builder.report, "progress", progress)
    with pytest.raises(Cancelled):
        builder.build()
    assert builder.left == kept


@pytest.mark.parametrize("parent", ["boxes", "rootfs"])
def test_what_a_killed_build_left_is_removed(builder: Builder, parent: str) -> None:
    remnant = builder.cache / parent / ".building-x" / "root"
    remnant.mkdir(parents=True)
    (remnant / "file").write_text("half")
    builder.build()
    assert builder.left == {BASE, f"boxes/{builder.recipe.key}"}


def test_a_folder_without_its_box_is_not_believed(builder: Builder) -> None:
    builder.recipe.folder.mkdir(parents=True)
    (builder.recipe.folder / "box.json").write_text("{}")
    assert builder.build().exists()
    assert builder.build().exists()
    assert builder.calls.count("qemu-img") == 1


def test_too_little_disk_is_refused_before_anything_runs(
    builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "NEEDED_MIB", 10**9)
    with pytest.raises(ResourceError, match="1000000000 MiB") as caught:
        builder.build()
    assert "KUBELAB_CACHE" in caught.value.hint
    assert builder.calls == []


def test_a_box_in_the_cache_needs_no_free_disk(builder: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    builder.build()
    monkeypatch.setattr(module, "NEEDED_MIB", 10**9)
    assert builder.build().exists()


def test_builds_do_not_run_at_the_same_time(builder: Builder) -> None:
    errors: list[BaseException] = []

    def build() -> None:
        try:
            builder.build()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=build) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert builder.calls.count("qemu-img") == 1


def test_phases_are_timed(builder: Builder) -> None:
    builder.build()
    phases = builder.report.of("phase")
    assert len(phases) == 3
    assert all(phase["seconds"] >= 0 for phase in phases)
