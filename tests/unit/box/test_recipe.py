from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from provision.box import recipe as module
from provision.box.metadata import write_catalog
from provision.box.recipe import BoxRecipe, guest_packages, mark_in, packages_mark
from provision.templates import data

RECIPE = BoxRecipe("1.36.3", "a" * 64)
ASSEMBLE = "templates/box/assemble.sh"


@pytest.fixture
def templates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the shipped templates that the recipe reads instead."""
    copy = tmp_path / "copy"
    shutil.copytree(data("templates/box"), copy / "templates/box")
    shutil.copytree(data("templates/containerd"), copy / "templates/containerd")
    monkeypatch.setattr(module, "data", lambda name: copy / name)
    return copy / "templates"


def append(path: str) -> Callable[[Path], None]:
    def change(templates: Path) -> None:
        with (templates / path).open("a") as file:
            file.write("\n# more\n")

    return change


def rename(templates: Path) -> None:
    folder = templates / "box/overlay/etc/modules-load.d"
    (folder / "kubernetes.conf").rename(folder / "other.conf")


def test_the_key_is_the_same_wherever_the_templates_lie(templates: Path) -> None:
    here = RECIPE.key
    for path in templates.rglob("*"):
        os.utime(path, (0, 0))
    assert RECIPE.key == here
    assert BoxRecipe("1.36.3", "a" * 64).key == here


def test_the_key_does_not_depend_on_the_folder(templates: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied = RECIPE.key
    monkeypatch.undo()
    assert RECIPE.key == copied


def test_the_key_does_not_depend_on_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = RECIPE.key
    monkeypatch.setenv("KUBELAB_CACHE", str(tmp_path))
    assert RECIPE.key == before
    assert RECIPE.file.is_relative_to(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        append("box/assemble.sh"),
        append("box/overlay/etc/fstab"),
        append("containerd/config-v2.toml.j2"),
        append("containerd/config-v3.toml.j2"),
        lambda templates: (templates / "box/overlay/etc/more").write_text(""),
        lambda templates: (templates / "box/overlay/etc/fstab").unlink(),
        rename,
    ],
    ids=["script", "overlay", "containerd", "containerd 2", "added", "removed", "renamed"],
)
def test_the_key_follows_every_file_that_goes_into_the_box(
    templates: Path, change: Callable[[Path], None]
) -> None:
    before = RECIPE.key
    change(templates)
    assert RECIPE.key != before


def test_the_keys_of_box_and_base_follow_the_packages(templates: Path) -> None:
    before = RECIPE.key, module.base_key()
    with (templates / "box/packages.txt").open("a") as file:
        file.write("vim\n")
    assert not {RECIPE.key, module.base_key()} & set(before)


def test_the_base_outlives_what_is_not_in_it(templates: Path) -> None:
    before = module.base_key()
    append("box/packages.txt")(templates)  # a comment alone
    append("box/assemble.sh")(templates)
    assert module.base_key() == before


@pytest.mark.parametrize(("name", "value"), [("SUITE", "forky"), ("DISK_GIB", 20)])
def test_the_key_follows_suite_and_disk(monkeypatch: pytest.MonkeyPatch, name: str, value: object) -> None:
    before = RECIPE.key
    monkeypatch.setattr(module, name, value)
    assert RECIPE.key != before


def test_the_key_follows_the_bundle() -> None:
    other = BoxRecipe("1.36.3", "b" * 64)
    assert other.key != RECIPE.key
    assert other.name != RECIPE.name


def test_the_name_tells_the_version() -> None:
    assert RECIPE.name == f"kubelab-1.36.3-{RECIPE.key[:12]}"
    assert RECIPE.reference.name == RECIPE.name


def test_a_box_with_further_packages_is_another_one_whose_name_says_so() -> None:
    more = BoxRecipe("1.36.3", "a" * 64, ("vim", "tree"))
    assert (more.key != RECIPE.key, more.base_key != RECIPE.base_key) == (True, True)
    assert more.name == f"kubelab-1.36.3-{more.key[:12]}-with-{packages_mark(('vim', 'tree'))}"
    # In whatever order they are written.
    assert BoxRecipe("1.36.3", "a" * 64, ("tree", "vim")).name == more.name
    assert BoxRecipe("1.36.3", "a" * 64, ("tree",)).base_key != more.base_key


def test_the_packages_are_known_by_the_name_whatever_else_is_in_the_box() -> None:
    other = BoxRecipe("1.37.1", "b" * 64, ("tree",))
    assert mark_in(other.name) == mark_in(BoxRecipe("1.36.3", "a" * 64, ("tree",)).name) != ""
    assert mark_in(other.name) == packages_mark(("tree",)) != packages_mark(("tree", "vim"))
    assert mark_in(RECIPE.name) == packages_mark(()) == ""


def test_packages_are_names_alone() -> None:
    packages = guest_packages()
    assert {"containerd", "openssh-server", "tzdata"} <= set(packages)
    assert not [name for name in packages if not name.replace("-", "").replace(".", "").isalnum()]
    assert len(set(packages)) == len(packages)


def test_vagrant_is_told_name_version_and_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBELAB_CACHE", str(tmp_path / "a cache"))
    write_catalog(RECIPE)
    document = json.loads(Path(RECIPE.folder / "box.json").read_text())
    (version,) = document["versions"]
    (provider,) = version["providers"]
    assert (document["name"], version["version"]) == (RECIPE.name, RECIPE.reference.version)
    assert provider == {"name": "libvirt", "url": RECIPE.file.as_uri()}
    assert RECIPE.reference.url == (RECIPE.folder / "box.json").as_uri()


def test_the_assembling_script_is_sound() -> None:
    script = data(ASSEMBLE)
    subprocess.run(["sh", "-n", str(script)], check=True)
    assert "set -eu" in script.read_text()


def test_shellcheck_finds_nothing_in_the_assembling_script() -> None:
    shellcheck = Path(sys.executable).with_name("shellcheck")
    subprocess.run([shellcheck, "--severity=warning", str(data(ASSEMBLE))], check=True)
