"""Whose a machine is: by the Vagrantfile it names, by its id, and by what became of the other folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from provision.lab.ownership import Ownership
from provision.providers.base import LabMachine
from tests.fakes.config import make_config

CONFIG = make_config(workers={"count": 1})


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """The folder of a lab with one machine."""
    folder = tmp_path / "made"
    (folder / ".vagrant/machines/lab-w1/libvirt").mkdir(parents=True)
    (folder / "Vagrantfile").touch()
    return folder


def covers(folder: Path, source: Path | None, *ids: str, name: str = "lab-w1") -> bool:
    return Ownership(CONFIG, folder, ids).covers(LabMachine(name, "id", source))


def test_a_machine_is_that_of_the_folder_it_names(made: Path, tmp_path: Path) -> None:
    assert covers(made, made / "Vagrantfile")
    assert covers(made, made / "Vagrantfile", "id")
    assert not covers(tmp_path / "other", made / "Vagrantfile")


def test_a_copy_cannot_claim_the_machines_of_its_original(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "copy")
    assert not covers(tmp_path / "copy", made / "Vagrantfile", "id")
    # Its Vagrantfile can be made again.
    (made / "Vagrantfile").unlink()
    assert not covers(tmp_path / "copy", made / "Vagrantfile", "id")


def test_a_folder_that_was_moved_keeps_its_machines(made: Path, tmp_path: Path) -> None:
    made.rename(tmp_path / "moved")
    assert covers(tmp_path / "moved", made / "Vagrantfile", "id")
    assert not covers(tmp_path / "moved", made / "Vagrantfile", "another")


def test_a_folder_that_may_not_be_looked_at_may_still_be_there(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, **_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", refuse)
    assert not covers(tmp_path / "moved", made / "Vagrantfile", "id")


def test_a_machine_that_names_no_folder_is_known_by_its_id(made: Path) -> None:
    assert covers(made, None, "id")
    assert not covers(made, None)


@pytest.mark.parametrize("name", ["saved", "lab-w1-copy", "other-w1"])
def test_a_machine_with_no_name_of_the_lab_is_none_of_it(made: Path, name: str) -> None:
    assert not covers(made, made / "Vagrantfile", "id", name=name)
