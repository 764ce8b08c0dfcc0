"""The images of an add-on are built by a stand-in for go on PATH."""

from __future__ import annotations

import json
import shutil
import sys
import tarfile
import threading
from pathlib import Path

import pytest

from provision.addons.choose import addon_of
from provision.artifacts.source import programs as built_programs
from provision.artifacts.source.programs import FOLDER, Programs
from provision.errors import ToolFailed
from provision.report.base import RecordingReporter

GO = """
import json, os, pathlib, sys
if sys.argv[1] == "env":
    print(json.dumps({"GOCACHE": "/tmp", "GOMODCACHE": "/tmp"}))
    sys.exit()
with pathlib.Path(os.environ["STUB_LOG"]).open("a") as log:
    log.write("build\\n")
if "STUB_FAILS" in os.environ:
    sys.exit(2)
out = pathlib.Path(sys.argv[sys.argv.index("-o") + 1])
for name in os.environ["STUB_TOOLS"].split():
    (out / name).write_text(f"program {name}\\n")
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    go = tmp_path / "bin" / "go"
    go.parent.mkdir()
    go.write_text(f"#!{sys.executable} -IS\n{GO}")
    go.chmod(0o755)
    found = addon_of("storage").programs()
    monkeypatch.setenv("PATH", f"{go.parent}:/usr/bin:/bin")
    monkeypatch.setenv("KUBELAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("STUB_LOG", str(tmp_path / "go.log"))
    monkeypatch.setenv("STUB_TOOLS", " ".join(found.images))
    monkeypatch.setattr(built_programs, "SPACE_MIB", 0)
    return found


def built(tmp_path: Path) -> int:
    log = tmp_path / "go.log"
    return len(log.read_text().splitlines()) if log.exists() else 0


def test_each_program_is_an_image_that_starts_it(programs: Programs, tmp_path: Path) -> None:
    assert programs.find() is None
    bundle = programs.build(RecordingReporter(), threading.Event())
    bundle.verify()
    assert {image.ref for image in bundle.images()} == set(programs.refs.values())
    assert {image.version for image in bundle.images()} == {programs.version}
    (image, *_) = bundle.images()
    with tarfile.open(bundle.path(image)) as tar:
        names = [name for name in tar.getnames() if name.endswith(".json") and name != "manifest.json"]
        config = tar.extractfile(names[0])
        assert config is not None
        assert json.load(config)["config"]["Entrypoint"] == [f"/{image.name}"]
    assert programs.build(RecordingReporter(), threading.Event()) == bundle
    assert programs.find() == bundle
    assert built(tmp_path) == 1


def test_images_beside_a_bundle_need_no_go(programs: Programs, tmp_path: Path) -> None:
    made = programs.build(RecordingReporter(), threading.Event())
    folder = tmp_path / "given"
    shutil.move(made.root, folder / FOLDER / programs.key)
    assert programs.find() is None
    found = programs.find(folder)
    assert found is not None
    assert found.root == folder / FOLDER / programs.key


def test_a_failed_build_leaves_nothing(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUB_FAILS", "1")
    with pytest.raises(ToolFailed):
        programs.build(RecordingReporter(), threading.Event())
    assert [path.suffix for path in (tmp_path / "cache" / FOLDER).iterdir()] == [".lock"]


def test_the_key_changes_with_what_is_built(programs: Programs, tmp_path: Path) -> None:
    folder = tmp_path / programs.name
    shutil.copytree(programs.folder, folder)
    copy = Programs(folder, programs.module, programs.images)
    assert copy.key == programs.key
    (folder / "go.sum").write_text("")
    assert copy.key != programs.key
