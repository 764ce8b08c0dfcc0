from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from provision.artifacts.bundle import Bundle
from provision.box.recipe import BoxRecipe
from provision.box.reference import BoxReference
from provision.errors import StepFailed, ToolFailed
from provision.steps import artifacts
from provision.steps.artifacts import BoxStep, BundleStep
from tests.fakes.artifacts.bundle import make_bundle
from tests.fakes.lab import Lab, make_lab
from tests.fakes.providers.machines import FakeMachines


class Machines(FakeMachines):
    """A Vagrant that unpacks the boxes it is given into a folder."""

    home = Path()

    def box_folder(self, box: BoxReference) -> Path:
        return self.home / box.name

    def add_box(self, box: BoxReference) -> None:
        assert Path(box.url.removeprefix("file://")).is_file()
        super().add_box(box)
        self.box_folder(box).mkdir(parents=True)


class Builder:
    """A builder that writes one file, and notes for which bundle."""

    built: list[str] = []  # noqa: RUF012 - emptied by the fixture

    def __init__(self, report: object, cancel: object) -> None:
        pass

    def find_or_build(self, recipe: BoxRecipe, bundle: Bundle) -> Path:
        if not recipe.file.exists():
            self.built.append(bundle.digest)
            recipe.folder.mkdir(parents=True)
            recipe.file.write_text("a box")
        return recipe.file


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setenv("KUBELAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(artifacts, "BoxBuilder", Builder)
    monkeypatch.setattr(Builder, "built", [])
    machines = Machines(["lab-cp1", "lab-w1"])
    machines.home = tmp_path / "vagrant"
    made = make_lab(tmp_path, changes={"machines": machines}, workers={"count": 1})
    return dataclasses.replace(made, machines=machines)


def up(lab: Lab) -> list[str]:
    return lab.run(BoxStep())


def test_the_bundle_is_made_once(tmp_path: Path) -> None:
    made: list[Bundle] = []

    def build() -> Bundle:
        made.append(make_bundle(tmp_path / "made"))
        return made[-1]

    changes = {"find_bundle": lambda: made[-1] if made else None, "build_bundle": build}
    lab = make_lab(tmp_path, changes=changes)
    assert lab.run(BundleStep()) == ["bundle"]
    assert lab.run(BundleStep()) == []
    assert len(made) == 1


def test_the_box_is_built_added_and_uploaded_once(lab: Lab) -> None:
    assert up(lab) == ["box"]
    name = lab.ctx.recipe.name
    assert Builder.built == [lab.ctx.bundle.digest]
    assert lab.machines.calls == [f"add_box {name}"]
    assert lab.provider.calls == [("upload_box", lab.machines.box_folder(lab.ctx.recipe.reference))]
    assert up(lab) == []
    assert (len(lab.machines.calls), len(lab.provider.calls)) == (1, 1)
    catalog = json.loads((lab.ctx.recipe.folder / "box.json").read_text())
    assert catalog["name"] == name


def test_a_box_that_vagrant_lost_is_added_again(lab: Lab) -> None:
    up(lab)
    lab.machines.box_folder(lab.ctx.recipe.reference).rmdir()
    assert up(lab) == ["box"]
    assert len(Builder.built) == 1


def test_a_box_that_the_hypervisor_lost_is_uploaded_again(lab: Lab) -> None:
    up(lab)
    lab.provider.boxes.clear()
    # Vagrant keeps what it has.
    lab.machines.add_box = lambda box: None  # type: ignore[method-assign]
    assert up(lab) == ["box"]
    assert len(lab.provider.calls) == 2


def test_a_box_that_the_cache_lost_is_built_again(lab: Lab) -> None:
    up(lab)
    lab.ctx.recipe.file.unlink()
    for file in lab.ctx.recipe.folder.iterdir():
        file.unlink()
    lab.ctx.recipe.folder.rmdir()
    lab.machines.add_box = lambda box: None  # type: ignore[method-assign]
    assert up(lab) == ["box"]
    assert len(Builder.built) == 2


def test_machines_that_are_all_there_need_no_box(lab: Lab) -> None:
    lab.machines.make("lab-cp1")
    assert not BoxStep().is_done(lab.ctx)
    lab.machines.make("lab-w1")
    assert up(lab) == []


def test_a_failed_build_reaches_neither_vagrant_nor_the_hypervisor(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Builder, recipe: BoxRecipe, bundle: Bundle) -> Path:
        raise ToolFailed(["mmdebstrap"], 1, "no route to host")

    monkeypatch.setattr(Builder, "find_or_build", fail)
    with pytest.raises(StepFailed, match="mmdebstrap") as caught:
        up(lab)
    assert "no route" in caught.value.details
    assert (lab.machines.calls, lab.provider.calls) == ([], [])


def test_the_upload_is_a_phase_of_its_own(lab: Lab) -> None:
    up(lab)
    assert len(lab.report.of("phase")) == 1
