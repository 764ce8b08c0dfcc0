"""`kubelab list`: whose a lab is, and what is shown of it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from provision.cli import group
from tests.fakes.providers.virsh import Host, install


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """Return a host whose VirtualBox has nothing, in a folder without a lab.yaml."""
    host = install(tmp_path / "bin", monkeypatch)
    (tmp_path / "bin/VBoxManage").write_text("#!/bin/sh\n")
    (tmp_path / "bin/VBoxManage").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    return host


def make(host: Host, lab: str, node: str, folder: Path, state: str = "running", **more: Any) -> None:
    host.domain(f"{lab}-{node}", state, network=f"kubelab-{lab}", source=str(folder / "Vagrantfile"), **more)


def kubelab_list(*arguments: str) -> Result:
    return CliRunner().invoke(group, ["list", *arguments])


def known() -> dict[str, Any]:
    events = map(json.loads, kubelab_list("--json").stdout.splitlines())
    return dict(next(event["data"] for event in events if event["event"] == "result"))


def test_the_labs_of_all_folders_are_listed_with_their_states(host: Host, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    make(host, "blue", "cp1", one)
    make(host, "blue", "w1", one, "shutoff")
    make(host, "green", "cp1", two, "shutoff")
    host.domain("blue-w2", network="default", source=str(one / "Vagrantfile"))
    host.domain("database", network="default")
    shown = kubelab_list()
    assert (shown.exit_code, shown.stderr) == (0, "")
    rows = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in shown.stdout.splitlines()]
    assert ["blue", "1 of 2 running", "blue-cp1, blue-w1", str(one)] in rows
    assert f"{two} (gone)" in shown.stdout
    assert [(lab["name"], lab["state"], lab["folder_exists"]) for lab in known()["labs"]] == [
        ("blue", "1 of 2 running", True),
        ("green", "stopped", False),
    ]
    assert known()["labs"][1]["nodes"] == [{"name": "green-cp1", "state": "stopped"}]


def test_labs_of_other_users_are_not_shown(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(host, "lab", "cp1", tmp_path)
    host.domain("other-cp1", network="kubelab-other")
    monkeypatch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)
    assert known()["labs"] == []
    assert "you have no labs on this host" in kubelab_list().stdout


def test_a_folder_that_may_not_be_looked_into_is_another_users(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(host, "lab", "cp1", tmp_path)
    stat = Path.stat

    def refuse(path: Path, **more: Any) -> os.stat_result:
        if path == tmp_path:
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **more)

    monkeypatch.setattr(Path, "stat", refuse)
    assert known()["labs"] == []


def test_a_hypervisor_that_does_not_answer_is_told(host: Host, tmp_path: Path) -> None:
    (tmp_path / "bin" / "virsh").write_text("#!/bin/sh\necho 'error: no connection' >&2\nexit 1\n")
    told = kubelab_list()
    assert told.exit_code == 1
    assert "libvirt does not say which labs it has: error: no connection" in told.stderr
    assert "you have no labs" not in told.stdout


def test_nodes_with_names_of_their_own_are_listed_by_them(host: Host, tmp_path: Path) -> None:
    make(host, "blue", "cp1", tmp_path, hostname="m-k8s")
    make(host, "blue", "w1", tmp_path, hostname="blue-w1")
    (lab,) = known()["labs"]
    assert (lab["name"], [node["name"] for node in lab["nodes"]]) == ("blue", ["m-k8s", "blue-w1"])
