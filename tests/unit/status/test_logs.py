"""The archive for a report of a fault: what is in it, and what never is."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from provision.cli import group
from provision.errors import ConnectFailed, Result
from provision.report.redact import HIDDEN, Redactor
from provision.status import logs
from provision.status.logs import Evidence, archive, collect
from tests.fakes.lab import Lab, make_lab
from tests.fakes.providers.ids import id_of
from tests.fakes.providers.snapshots import FakeVm

TOKEN = "abcdef.0123456789abcdef"


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """Return a lab with one running node and one that is missing."""
    made = make_lab(tmp_path, workers={"count": 1})
    made.machines.make("lab-cp1")
    made.backend.vms[id_of("lab-cp1")] = FakeVm()
    space = made.ctx.workspace
    (tmp_path / "lab.yaml").write_text("name: lab\nproxy: {http: 'http://me:hunter2hunter2@proxy:1'}\n")
    space.vagrantfile.write_text("# made by render\n")
    space.run_log.write_text(f"kubeadm join --token {TOKEN}\n")
    space.run_log.with_name("run.log.1").write_text("the run before\n")
    space.ssh_key.write_text("the key\n")
    made.script(("--unit=kubelet", Result(f"joined with {TOKEN}\n", "", 0)))
    made.script(("--unit=containerd", ConnectFailed("lab-cp1", "it does not answer")))
    return made


def unpacked(lab: Lab, tmp_path: Path) -> dict[str, str]:
    content = archive(collect(lab.ctx, tmp_path / "lab.yaml", Redactor()), "folder")
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        files = {entry.name: tar.extractfile(entry) for entry in tar}
        return {name: file.read().decode() for name, file in files.items() if file is not None}


def test_all_that_answers_is_in_it_and_why_the_rest_is_not(lab: Lab, tmp_path: Path) -> None:
    files = unpacked(lab, tmp_path)
    assert {name.removeprefix("folder/") for name in files} == {
        "Vagrantfile",
        "lab.yaml",
        "missing.txt",
        "nodes/lab-cp1/kubelet.log",
        "run.log",
        "run.log.1",
        "status.json",
        "versions.txt",
    }
    assert files["folder/missing.txt"].splitlines() == [
        "nodes/lab-cp1/containerd.log: lab-cp1: it does not answer",
        "nodes/lab-w1: the machine is missing",
    ]


def test_a_fault_in_the_status_keeps_nothing_else_out(lab: Lab, tmp_path: Path) -> None:
    lab.backend.vms.clear()
    files = unpacked(lab, tmp_path)
    assert "KeyError" in files["folder/status-failed.txt"]
    assert "folder/nodes/lab-cp1/kubelet.log" in files


def test_no_secret_is_in_it(lab: Lab, tmp_path: Path) -> None:
    files = unpacked(lab, tmp_path)
    whole = "\n".join(files.values())
    assert [secret for secret in (TOKEN, "hunter2hunter2", "the key") if secret in whole] == []
    assert files["folder/nodes/lab-cp1/kubelet.log"] == f"joined with {HIDDEN}\n"


def test_of_a_long_text_the_end_is_kept_and_a_secret_at_the_cut_is_none_by_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "KEPT", 100)
    monkeypatch.setattr(logs, "BEFORE", 400)
    key = "-----BEGIN PRIVATE KEY-----\n" + "A" * 150 + "\n-----END PRIVATE KEY-----\n"
    (tmp_path / "log").write_text("x" * 1000 + "\n" + key + "the end\n")
    found = Evidence(Redactor())
    found.add_file("log", tmp_path / "log")
    assert found.texts["log"].endswith(f"{HIDDEN}\nthe end\n")
    assert len(found.texts["log"]) < 150
    assert "AAAA" not in found.texts["log"]


def test_links_and_pipes_in_the_labs_folder_are_not_followed(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "private").write_text("of the user\n")
    lab.ctx.workspace.run_log.unlink()
    lab.ctx.workspace.run_log.symlink_to(tmp_path / "private")
    os.mkfifo(lab.ctx.workspace.state / "run.log.2")
    found = collect(lab.ctx, tmp_path / "lab.yaml", Redactor())
    assert "of the user" not in "".join(found.texts.values())
    assert {"run.log", "run.log.2"} <= set(found.missing)


def test_the_command_writes_a_private_file_where_it_is_told_to(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provision.lab.opening.open_lab", lambda *_: lab.ctx)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(group, ["logs", "--out", "report.tar.gz"])
    assert (done.exit_code, "wrote report.tar.gz" in done.stdout) == (0, True), done.output
    assert Path("report.tar.gz").stat().st_mode & 0o777 == 0o600
    assert CliRunner().invoke(group, ["logs"]).exit_code == 0
    assert len(list(tmp_path.glob("lab-logs-*.tar.gz"))) == 1
    assert CliRunner().invoke(group, ["logs", "--out", str(tmp_path)]).exit_code == 2
