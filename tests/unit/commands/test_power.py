"""`kubelab stop` and `start` from the command line, and what others say of a lab that is off.

There is a stub `virsh` alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from provision.cli import group
from tests.fakes.providers.ids import id_of
from tests.fakes.providers.virsh import Host, install

Kubelab = Callable[..., Result]
NODES = ("lab-cp1", "lab-w1")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """Return a hypervisor with the machines of a lab that runs."""
    host = install(tmp_path / "bin", monkeypatch)
    monkeypatch.chdir(tmp_path)
    Path("lab.yaml").write_text("name: lab\nprovider: libvirt\nworkers: {count: 1}\n")
    for node in NODES:
        id_file = Path(f".vagrant/machines/{node}/libvirt/id")
        id_file.parent.mkdir(parents=True)
        id_file.write_text(host.domain(node))
    state = Path(".kubelab/lab")
    state.mkdir(parents=True)
    for name in ("kubeconfig", "ssh_config"):
        (state / name).write_text("made by up\n")
    return host


@pytest.fixture
def kubelab(host: Host) -> Kubelab:
    return lambda *arguments: CliRunner().invoke(group, list(arguments))


def states(host: Host) -> set[str]:
    return {domain["state"] for domain in host.state["domains"].values()}


def test_stop_presses_power_buttons_and_a_second_one_has_nothing_to_do(host: Host, kubelab: Kubelab) -> None:
    stopped = kubelab("stop")
    assert (stopped.exit_code, states(host)) == (0, {"shutoff"})
    assert "next: kubelab start" in stopped.stdout
    assert sorted(host.calls("shutdown")) == sorted(f"shutdown {id_of(node)} --mode acpi" for node in NODES)
    again = kubelab("stop", "--save")
    assert again.exit_code == 0
    assert "nothing to do: the lab is stopped" in again.stdout
    assert host.state["unknown"] == []


@pytest.mark.parametrize("memory", ["", "paused"])
@pytest.mark.parametrize(
    "arguments", [("ssh", "lab-w1"), ("ssh", "lab-w1", "uptime"), ("cp", "lab-w1:/x", "."), ("verify",)]
)
def test_what_needs_the_machines_says_that_the_lab_is_off(
    host: Host, kubelab: Kubelab, arguments: tuple[str, ...], memory: str
) -> None:
    for node in NODES:
        host.domain(node, "shutoff", **({"saved": memory} if memory else {}))
    result = kubelab(*arguments)
    assert result.exit_code == 1
    assert f"the lab is {'saved' if memory else 'stopped'}: " in result.stderr
    assert "kubelab start" in result.stderr


def test_ssh_to_a_machine_that_is_off_by_itself_names_it(host: Host, kubelab: Kubelab) -> None:
    host.domain("lab-w1", "shutoff")
    result = kubelab("ssh", "lab-w1")
    assert "the machine lab-w1 is stopped" in result.stderr
    assert "kubelab start" in result.stderr


def test_a_saved_lab_is_not_saved_without_its_memory(host: Host, kubelab: Kubelab) -> None:
    for node in NODES:
        host.domain(node, "shutoff", saved="paused")
    result = kubelab("snapshot", "save", "a")
    assert result.exit_code == 1
    assert "lab-cp1 is saved" in result.stderr
    assert "kubelab start" in result.stderr
    assert host.calls("snapshot-create-as") == []


def test_a_restore_leaves_a_saved_lab_as_the_snapshot_was(host: Host, kubelab: Kubelab) -> None:
    for node in NODES:
        host.domain(node, "shutoff")
    kubelab("snapshot", "save", "a")
    domains = {name: {**domain, "saved": "paused"} for name, domain in host.state["domains"].items()}
    host.write({**host.state, "domains": domains})
    Path(".kubelab/lab/start.json").write_text("{}")
    assert kubelab("snapshot", "restore", "a").exit_code == 0
    assert not any("saved" in domain for domain in host.state["domains"].values())
    assert not Path(".kubelab/lab/start.json").exists()


def test_start_without_a_lab_is_bad_usage(host: Host, kubelab: Kubelab) -> None:
    host.write({**host.state, "domains": {}})
    result = kubelab("start", "--json")
    assert result.exit_code == 2
    (error,) = [event for event in map(json.loads, result.stdout.splitlines()) if event["event"] == "error"]
    assert (error["message"], error["hint"]) == ("the lab lab has no machines yet", "kubelab up")
