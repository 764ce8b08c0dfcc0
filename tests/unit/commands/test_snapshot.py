"""`kubelab snapshot` and `kubelab reset` from the command line, with a stub `virsh` alone.

The lab is off: so nothing is asked of its nodes.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from provision.cli import group
from provision.snapshots import journal
from provision.snapshots.manifests import Manifests, SavedNode
from provision.workspace import Workspace
from tests.fakes.providers.ids import id_of
from tests.fakes.providers.virsh import Host, install
from tests.fakes.snapshots import manifest

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


def write_manifests(*names: str) -> None:
    nodes = tuple(SavedNode(name=node, id=id_of(node), size=1) for node in NODES)
    for name in names:
        Manifests(Path("snapshots/lab"), "lab").write(manifest(name, live=False, nodes=nodes))


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


def move(host: Host, source: Path) -> None:
    """Let the machines be made from `source`."""
    domains = host.state["domains"]
    for domain in domains.values():
        domain["source"] = str(source)
    host.write({**host.state, "domains": domains})


@pytest.fixture
def original(host: Host, tmp_path: Path) -> Path:
    """The folder whose copy this one is; its machines have snapshots."""
    folder = tmp_path / "original"
    folder.mkdir()
    (folder / "Vagrantfile").touch()
    domains = host.state["domains"]
    for domain in domains.values():
        domain |= {"source": str(folder / "Vagrantfile"), "snapshots": {"a": "shutoff", "ready": "shutoff"}}
    host.write({**host.state, "domains": domains})
    return folder


@pytest.mark.parametrize(
    "command",
    [
        ("snapshot", "save", "b"),
        ("snapshot", "restore", "a"),
        ("snapshot", "delete", "a"),
        ("reset",),
        ("destroy",),
    ],
)
def test_a_copied_folder_does_not_touch_its_originals_machines(
    host: Host, kubelab: Kubelab, original: Path, command: tuple[str, ...]
) -> None:
    write_manifests("a", "ready")
    before = host.state["domains"]
    refused = kubelab(*command)
    assert (refused.exit_code, str(original) in refused.stderr) == (2, True)
    assert host.state["domains"] == before


@pytest.mark.parametrize("command", [("snapshot", "list"), ("render",)])
def test_a_copied_folder_does_not_end_what_its_original_began(
    host: Host, kubelab: Kubelab, original: Path, command: tuple[str, ...]
) -> None:
    interrupted("delete")
    before = host.state["domains"]
    said = kubelab(*command)
    assert str(original) in said.stdout + said.stderr
    assert host.state["domains"] == before


def test_a_moved_folder_keeps_its_machines(host: Host, kubelab: Kubelab, tmp_path: Path) -> None:
    move(host, tmp_path / "before" / "Vagrantfile")
    host.write({**host.state, "pools": ["default"]})
    assert kubelab("snapshot", "save", "a").exit_code == 0
    assert kubelab("destroy").exit_code == 0
    assert host.state["domains"] == {}


@pytest.fixture
def unread() -> Iterator[int]:
    """A pipe that nobody reads."""
    read, write = os.pipe()
    os.close(read)
    yield write
    os.close(write)


def in_a_process(stdout: Any, *arguments: str) -> tuple[int, str]:
    """Run the whole program; return its exit code and its standard error."""
    done = subprocess.run(
        [sys.executable, "-c", "from provision.cli import main; main()", *arguments],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


def test_a_save_is_completed_though_nobody_reads_of_it(host: Host, unread: int) -> None:
    assert in_a_process(unread, "snapshot", "save", "a") == (128 + signal.SIGPIPE, "")
    assert (held(host), Path("snapshots/lab/a.json").exists()) == ([["a"], ["a"]], True)
    assert not Path(".kubelab/lab/journal.json").exists()


def test_a_save_is_completed_though_the_disk_under_its_output_is_full(host: Host) -> None:
    with Path("/dev/full").open("w") as stdout:
        code, errors = in_a_process(stdout, "snapshot", "save", "a")
    assert (code, errors.count("No space left")) == (1, 1)
    assert held(host) == [["a"], ["a"]]


@pytest.mark.parametrize("where", ["{mirror: http://127.0.0.1:9}", "{bundle: gone}"])
def test_a_lab_is_looked_at_put_back_and_removed_without_a_cache_and_a_network(
    host: Host, kubelab: Kubelab, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def choose_for(*_: object) -> None:
        raise AssertionError("a bundle was chosen")

    monkeypatch.setattr("provision.lab.software.choose_for", choose_for)
    text = Path("lab.yaml").read_text()
    Path("lab.yaml").write_text(f"{text}artifacts: {where}\n")
    domains = host.state["domains"]
    for domain in domains.values():
        domain["snapshots"] = {"a": "shutoff"}
    host.write({**host.state, "domains": domains, "pools": ["default"]})
    write_manifests("a")
    listed = data(kubelab("snapshot", "list", "--json"))["snapshots"]
    assert [(each["name"], each["problem"]) for each in listed] == [("a", None)]
    found = data(kubelab("status", "--json"))
    assert [node["machine"] for node in found["nodes"]] == ["stopped"] * 2
    assert (found["kubernetes"], found["snapshot"]) == ("1.36", None)
    assert kubelab("snapshot", "restore", "a").exit_code == 0
    assert kubelab("snapshot", "delete", "a").exit_code == 0
    assert (held(host), kubelab("destroy").exit_code) == ([[], []], 0)
    assert host.state["domains"] == {}
