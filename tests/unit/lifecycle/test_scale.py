"""lab.yaml says fewer workers once one was removed, and not before."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.config.edit import with_count, with_workers
from provision.config.schema import load_config
from provision.errors import Cancelled, ConfigError, LabError, StepFailed
from provision.lifecycle.scale import refuse_to_remove, remove
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


def test_a_worker_with_a_name_of_its_own_goes_and_what_the_file_has_of_it(tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text("name: lab\nworkers: {count: 2}\nnodes:\n  lab-w2: {name: w2-k8s}\n")
    config = load_config(file)
    for name in ("w2-k8s", "lab-w2"):
        refuse_to_remove(config, name)
    with pytest.raises(ConfigError, match="only the last one, w2-k8s, can go"):
        refuse_to_remove(config, "lab-w1")
    text, wanted = with_workers(file, 1)
    lab = make_lab(tmp_path / "lab", workers={"count": 1})
    lab.provider.stray, lab.provider.hostnames = ["lab-w2"], {"lab-w2": "w2-k8s"}
    assert wanted == with_count(config, 1)
    remove(lab.ctx, file, text)
    assert lab.machines.calls == ["destroy lab-w2"]
    assert file.read_text() == "name: lab\nworkers: {count: 1}\n"
    told = [event["text"] for event in lab.report.of("info")]
    assert told[-2:] == [
        "removed w2-k8s",
        f"{file} says workers.count: 1 now, and nodes.lab-w2 is no more in it",
    ]
