"""lab.yaml says fewer workers once one was removed, and not before."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.errors import Cancelled, LabError, StepFailed
from provision.lifecycle.scale import remove
from tests.fakes.lab import Lab, make_lab

FEWER = "name: lab\nworkers: {count: 1} # one\n"


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A lab without a cluster, of two workers, opened as one of a single worker."""
    lab = make_lab(tmp_path / "lab", workers={"count": 1})
    lab.provider.stray = ["lab-w2"]
    return lab


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "lab.yaml"
    file.write_text("name: lab\nworkers: {count: 2} # one\n")
    file.chmod(0o640)
    return file


def test_the_number_is_lowered_once_the_worker_is_gone(lab: Lab, file: Path) -> None:
    remove(lab.ctx, file, FEWER)
    assert lab.provider.stray == []
    assert file.read_text() == FEWER
    assert file.stat().st_mode & 0o777 == 0o640
    assert lab.report.of("info")[-1]["text"] == f"{file} says workers.count: 1 now"


def test_a_link_stays_one(lab: Lab, file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.yaml"
    link.symlink_to(file)
    remove(lab.ctx, link, FEWER)
    assert link.is_symlink()
    assert file.read_text() == FEWER


@pytest.mark.parametrize(
    ("error", "raised", "hint"),
    [(LabError("no"), StepFailed, ""), (Cancelled("given up"), Cancelled, "the same command goes on")],
)
def test_a_removal_that_did_not_end_leaves_the_file_alone(
    lab: Lab, file: Path, error: LabError, raised: type[LabError], hint: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    lab.provider.remove = fail  # type: ignore[method-assign]
    with pytest.raises(raised) as caught:
        remove(lab.ctx, file, FEWER)
    assert caught.value.hint.startswith(hint)
    assert "count: 2" in file.read_text()
