"""`kubelab snapshot` and `kubelab reset` from the command line, with a stub `virsh` alone.

The lab is off: so nothing is asked of its nodes.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from provision.cli import group
from provision.snapshots import journal
from provision.workspace import Workspace
from tests.fakes.providers.ids import id_of
from tests.fakes.providers.virsh import Host, install

Kubelab = Callable[..., Result]
NODES = ("lab-cp1", "lab-w1")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    host = install(tmp_path / "bin", monkeypatch)
    monkeypatch.chdir(tmp_path)
    Path("lab.yaml").write_text("name: lab\nprovider: libvirt\nworkers: {count: 1}\n")
    for node in NODES:
        id_file = Path(f".vagrant/machines/{node}/libvirt/id")
        id_file.parent.mkdir(parents=True)
        id_file.write_text(host.domain(node, "shutoff"))
    return host


@pytest.fixture
def kubelab(host: Host) -> Kubelab:
    return lambda *arguments: CliRunner().invoke(group, list(arguments))


def data(result: Result) -> dict[str, Any]:
    """Return what a run with --json answers."""
    events = [json.loads(line) for line in result.stdout.splitlines()]
    found: dict[str, Any] = next(event["data"] for event in events if event["event"] == "result")
    return found


def held(host: Host) -> list[list[str]]:
    return [list(domain.get("snapshots", {})) for domain in host.state["domains"].values()]


def interrupted(action: Any, **more: Any) -> None:
    time = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
    ids = {node: id_of(node) for node in NODES}
    space = Workspace(Path.cwd(), "lab")
    space.prepare()
    journal.write(space, journal.Journal(action=action, name="a", time=time, ids=ids, **more))


def test_a_whole_life(host: Host, kubelab: Kubelab) -> None:
    saved = kubelab("snapshot", "save", "a", "--note", "first")
    assert (saved.exit_code, held(host)) == (0, [["a"], ["a"]])
    assert "the machines are powered off" in saved.stdout
    assert json.loads(Path("snapshots/lab/a.json").read_text())["note"] == "first"
    assert data(kubelab("snapshot", "save", "b", "--json"))["parent"] == "a"
    listed = kubelab("snapshot", "list")
    assert listed.exit_code == 0
    assert "└ b" in listed.stdout
    assert [each["name"] for each in data(kubelab("snapshot", "list", "--json"))["snapshots"]] == ["a", "b"]
    assert "disks" in kubelab("snapshot", "list").stdout
    assert data(kubelab("snapshot", "show", "a", "--json"))["live"] is False
    assert "first" in kubelab("snapshot", "show", "a").stdout
    restored = kubelab("snapshot", "restore", "a", "--save-first", "c")
    assert (restored.exit_code, held(host)) == (0, [["a", "b", "c"]] * 2)
    refused = kubelab("snapshot", "delete", "a")
    assert refused.exit_code == 1
    assert "b, c" in refused.stderr
    assert kubelab("snapshot", "delete", "--keep", "1").exit_code == 0
    assert held(host) == [["c"], ["c"]]
    assert data(kubelab("snapshot", "delete", "c", "--json")) == {"deleted": ["c"]}
    assert held(host) == [[], []]
    assert not list(Path("snapshots/lab").iterdir())
    assert host.state["unknown"] == []


def test_reset_is_to_ready(host: Host, kubelab: Kubelab) -> None:
    missing = kubelab("reset")
    assert missing.exit_code == 1
    assert "no snapshot `ready`" in missing.stderr
    kubelab("snapshot", "save", "ready")
    assert kubelab("reset").exit_code == 0
    assert len(host.calls("snapshot-revert")) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("save", "Upper"),
        ("save", "../a"),
        ("restore", "a_b"),
        ("restore", "a", "--save-first", "-"),
        ("delete",),
        ("delete", "a", "--keep", "1"),
        ("delete", "--keep", "-1"),
        ("save",),
    ],
)
def test_what_makes_no_sense_ends_with_2_before_anything(
    host: Host, kubelab: Kubelab, arguments: tuple[str, ...]
) -> None:
    assert kubelab("snapshot", *arguments).exit_code == 2
    assert host.state["calls"] == []


def test_a_provider_without_snapshots_ends_with_2(host: Host, kubelab: Kubelab) -> None:
    Path("lab.yaml").write_text("name: lab\nprovider: hosts\n")
    for arguments in (("save", "a"), ("list",), ("restore", "a")):
        result = kubelab("snapshot", *arguments)
        assert (result.exit_code, "provider" in result.stderr) == (2, True)


def test_what_fails_ends_with_1_and_leaves_nothing(host: Host, kubelab: Kubelab) -> None:
    host.write({**host.state, "fail": {"snapshot-create-as": "disk full"}})
    failed = kubelab("snapshot", "save", "a")
    assert failed.exit_code == 1
    assert "disk full" in failed.stderr
    assert held(host) == [[], []]
    assert not Path("snapshots/lab/a.json").exists()
    assert not Path(".kubelab/lab/journal.json").exists()
    assert kubelab("snapshot", "restore", "a").exit_code == 1
    assert kubelab("snapshot", "show", "a").exit_code == 1


@pytest.fixture
def half_saved(host: Host, kubelab: Kubelab) -> None:
    """Leave what a save leaves that was killed while it saved."""
    kubelab("snapshot", "save", "a")
    Path("snapshots/lab/a.json").unlink()
    interrupted("save")


# Some fail then, as the lab has no cluster.
@pytest.mark.parametrize(
    "command",
    [
        ("snapshot", "list"),
        ("snapshot", "delete", "nothing"),
        ("render",),
        ("status",),
        ("verify", "--only", "dns"),
        ("kubectl", "--", "version"),
        ("ssh", "lab-cp1"),
    ],
)
@pytest.mark.usefixtures("half_saved")
def test_whatever_asks_the_machines_says_that_a_command_was_interrupted_and_mends_what_it_left(
    host: Host, kubelab: Kubelab, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setattr(os, "execvp", lambda *argv: None)
    monkeypatch.setattr(os, "execve", lambda *argv: None)
    for name in ("kubeconfig", "ssh_config"):
        Path(".kubelab/lab", name).touch()
    mended = kubelab(*command)
    assert "`kubelab snapshot save a` was interrupted: recovering" in mended.stdout + mended.stderr
    assert held(host) == [[], []]
    assert not Path(".kubelab/lab/journal.json").exists()


@pytest.mark.usefixtures("half_saved")
def test_a_command_that_is_under_way_is_told_and_left_alone(host: Host, kubelab: Kubelab) -> None:
    with Workspace(Path.cwd(), "lab").lock():
        listed = kubelab("snapshot", "list")
    assert "is running now" in listed.stdout + listed.stderr
    assert held(host) == [["a"], ["a"]]


@pytest.mark.usefixtures("half_saved")
def test_a_command_that_only_looks_goes_on_where_nothing_can_be_mended(host: Host, kubelab: Kubelab) -> None:
    host.write({**host.state, "fail": {"snapshot-delete": "disk on fire"}})
    listed = kubelab("snapshot", "list")
    assert listed.exit_code == 0
    assert "2 nodes failed: " in listed.stdout + listed.stderr
    assert "disk on fire" in listed.stdout + listed.stderr
    assert "was interrupted at 2026-01-02" in listed.stdout + listed.stderr
    assert held(host) == [["a"], ["a"]]


def test_a_paused_lab_runs_again_with_the_next_command(host: Host, kubelab: Kubelab) -> None:
    domains = host.state["domains"]
    for domain in domains.values():
        domain["state"] = "paused"
    host.write({**host.state, "domains": domains})
    interrupted("restore", running=NODES)
    kubelab("snapshot", "delete", "nothing")
    assert [domain["state"] for domain in host.state["domains"].values()] == ["running"] * 2


def test_a_note_that_is_no_text_is_refused_before_anything_is_done(kubelab: Kubelab, host: Host) -> None:
    result = kubelab("snapshot", "save", "a", "--note", "caf\udce9", "--json")
    error = json.loads(result.stdout.splitlines()[-1])
    assert (result.exit_code, error["message"]) == (2, "--note: is not text in UTF-8")
    assert not Path(".kubelab").exists()
    assert kubelab("snapshot", "save", "a", "--note", "café").exit_code == 0
