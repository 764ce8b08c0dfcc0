from __future__ import annotations

import shutil
from collections import namedtuple
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from provision import templates
from provision.artifacts.source import golang, origin
from provision.errors import ConfigError, LabError, ResourceError

Usage = namedtuple("Usage", "total used free")


def shelf(base: Path, *versions: str) -> None:
    """Lay out templates/bundle for these Kubernetes versions."""
    for version in versions:
        folder = base / "templates/bundle" / f"v{version.rpartition('.')[0]}"
        for name, module in origin.MODULES.items():
            (folder / name).mkdir(parents=True)
            pinned = version if name == "kubernetes" else "3.6.8"
            text = f"go 1.26.0\n\nrequire (\n\t{module} v{pinned} // indirect\n)\n"
            (folder / name / "go.mod").write_text(text)
            (folder / name / "go.sum").write_text("sums\n")
    pause = base / "templates/bundle/pause"
    pause.mkdir()
    (pause / "main.go").write_text("package main\n")


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shelf(tmp_path, "1.9.11", "1.35.4", "1.36.3")
    monkeypatch.setattr(templates, "data", lambda name: tmp_path / name)
    return tmp_path


@pytest.mark.usefixtures("base")
def test_the_versions_are_those_of_the_go_mod_files_in_their_order() -> None:
    assert list(origin.versions()) == ["1.9.11", "1.35.4", "1.36.3"]


@pytest.mark.usefixtures("base")
@pytest.mark.parametrize(
    ("wanted", "found"), [("1.36", "1.36.3"), ("1.36.3", "1.36.3"), ("v1.35.4", "1.35.4"), ("1.9", "1.9.11")]
)
def test_a_minor_or_an_exact_version_is_found(wanted: str, found: str) -> None:
    assert origin.resolve(wanted).kubernetes == found


@pytest.mark.usefixtures("base")
@pytest.mark.parametrize(
    ("wanted", "near"),
    [
        ("1.36.9", ["1.36.3"]),
        ("1.3", ["1.35.4", "1.36.3"]),
        ("2.0", ["1.36.3"]),
        ("latest", ["1.36.3"]),
        ("1", ["1.36.3"]),
    ],
)
def test_an_unknown_version_is_refused_with_those_near(wanted: str, near: list[str]) -> None:
    with pytest.raises(ConfigError) as error:
        origin.resolve(wanted)
    assert (error.value.key, error.value.exit_code) == ("kubernetes", 2)
    assert wanted in error.value.message
    assert all(version in error.value.hint for version in near)
    assert ("1.35.4" in error.value.hint) is (wanted != "1.36.9")


def append(name: str) -> Callable[[Path], None]:
    def change(base: Path) -> None:
        file = base / "templates/bundle" / name
        file.write_text(f"{file.read_text()}\n")

    return change


@pytest.mark.parametrize(
    "change",
    [append("v1.36/etcd/go.mod"), append("v1.36/coredns/go.sum"), append("pause/main.go")],
    ids=["go.mod", "go.sum", "pause"],
)
def test_the_key_changes_with_what_is_built(base: Path, change: Callable[[Path], None]) -> None:
    before, other = origin.resolve("1.36").key, origin.resolve("1.9").key
    assert before != other
    change(base)
    assert origin.resolve("1.36").key != before


def test_the_key_is_of_the_content_and_not_of_its_place(base: Path, tmp_path: Path) -> None:
    found = origin.resolve("1.36")
    shutil.copytree(found.folder, tmp_path / "elsewhere")
    moved = replace(found, folder=tmp_path / "elsewhere")
    assert moved.key == found.key
    assert replace(found, kubernetes="1.36.4").key != found.key


def test_the_key_changes_with_the_recipe(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = origin.resolve("1.36").key
    monkeypatch.setattr(origin, "RECIPE", origin.RECIPE + 1)
    assert origin.resolve("1.36").key != before


def test_a_module_that_is_not_pinned_is_named(base: Path) -> None:
    (base / "templates/bundle/v1.36/etcd/go.mod").write_text("module x\n")
    with pytest.raises(LabError, match="does not require"):
        origin.resolve("1.36").version("etcd")


def test_a_full_disk_is_found_before_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = {"MiB": origin.SPACE_MIB - 1}
    monkeypatch.setattr(golang, "cache_folders", lambda: (tmp_path,))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, free["MiB"] << 20))
    with pytest.raises(ResourceError, match="MiB free"):
        origin.check_space(tmp_path / "not" / "made" / "yet")
    free["MiB"] += 1
    origin.check_space(tmp_path / "not" / "made" / "yet")


@pytest.mark.parametrize("version", list(origin.versions()))
def test_the_shipped_modules_pin_one_toolchain_and_every_sum(version: str) -> None:
    shipped = origin.versions()[version]
    assert f"v{version}".startswith(f"{shipped.folder.name}.")
    lines = set()
    for name in origin.MODULES:
        folder = shipped.folder / name
        assert {path.name for path in folder.iterdir()} == {"go.mod", "go.sum"}
        text = (folder / "go.mod").read_text().splitlines()
        lines |= {line for line in text if line.startswith("go ")}
        pinned = f"{origin.MODULES[name]} {shipped.version(name)} h1:"
        assert pinned in (folder / "go.sum").read_text()
    assert len(lines) == 1
