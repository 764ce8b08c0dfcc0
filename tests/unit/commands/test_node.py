"""`kubelab node` from the command line, with a stub `virsh` alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from provision.cli import group
from provision.config.schema import ClusterConfig
from provision.errors import ConfigError
from provision.workspace import Workspace
from tests.fakes.providers.ids import id_of
from tests.fakes.providers.virsh import Host, install

LAB = "name: lab\nprovider: libvirt\nworkers: {count: 2} # two\n"
NODES = ("lab-cp1", "lab-w1", "lab-w2")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """Return a hypervisor with the machines of a lab that runs."""
    host = install(tmp_path / "bin", monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBELAB_CACHE", str(tmp_path / "cache"))
    Path("lab.yaml").write_text(LAB)
    for node in NODES:
        id_file = Path(f".vagrant/machines/{node}/libvirt/id")
        id_file.parent.mkdir(parents=True)
        id_file.write_text(host.domain(node))
    Path(".kubelab/lab").mkdir(parents=True)
    return host


def kubelab(*arguments: str) -> Result:
    return CliRunner().invoke(group, list(arguments))


def events(told: Result, name: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in told.stdout.splitlines()]
    return [event for event in found if event["event"] == name]


def states(host: Host) -> list[str]:
    return [host.state["domains"][node]["state"] for node in NODES]


def test_nodes_are_listed_though_there_is_no_api_server(host: Host) -> None:
    host.domain("lab-w2", "shutoff")
    told = kubelab("node", "list", "--json")
    assert told.exit_code == 0
    (result,) = events(told, "result")
    nodes = {node["name"]: node for node in result["data"]["nodes"]}
    assert [nodes[name]["machine"] for name in NODES] == ["running", "running", "stopped"]
    assert (nodes["lab-w1"]["role"], nodes["lab-w1"]["address"]) == ("worker", "192.168.60.21")
    assert (nodes["lab-w1"]["ready"], nodes["lab-w1"]["cordoned"]) == (None, None)
    assert result["data"]["unknown"] == {"cluster": "the lab has no cluster yet"}
    lines = [line.split() for line in kubelab("node", "list").stdout.splitlines()]
    assert ["lab-w2", "worker", "192.168.60.22", "stopped", "unknown"] in lines


def test_a_node_is_stopped_alone(host: Host) -> None:
    told = kubelab("node", "stop", "lab-w1", "--json")
    assert told.exit_code == 0
    assert states(host) == ["running", "shutoff", "running"]
    assert host.calls("shutdown") == [f"shutdown {id_of('lab-w1')} --mode acpi"]
    again = kubelab("node", "stop", "lab-w1", "--json")
    assert [events(each, "result")[0]["data"]["changed"] for each in (told, again)] == [True, False]


@pytest.mark.parametrize("deed", ["drain", "uncordon", "stop", "start", "restart", "remove"])
def test_a_name_that_no_node_has_is_bad_usage(host: Host, deed: str) -> None:
    told = kubelab("node", deed, "lab-w3")
    assert told.exit_code == 2
    assert "there is no node `lab-w3`" in told.stderr
    assert set(states(host)) == {"running"}


@pytest.mark.parametrize(
    ("name", "why"), [("lab-w1", "only the last one, lab-w2, can go"), ("lab-cp1", "is a control plane")]
)
def test_another_node_than_the_last_worker_is_not_removed(host: Host, name: str, why: str) -> None:
    told = kubelab("node", "remove", name, "--yes")
    assert told.exit_code == 2
    assert why in told.stderr
    assert f"kubelab node drain {name}" in told.stderr
    assert Path("lab.yaml").read_text() == LAB


@pytest.mark.parametrize("arguments", [("add",), ("remove", "lab-w2", "--yes")])
def test_a_file_that_cannot_be_changed_safely_is_told_before_anything_is_done(
    host: Host, arguments: tuple[str, ...]
) -> None:
    Path("lab.yaml").write_text("name: lab\nprovider: libvirt\n")
    told = kubelab("node", *arguments)
    assert told.exit_code == 2
    assert "workers: {count: " in told.stderr
    assert Path("lab.yaml").read_text() == "name: lab\nprovider: libvirt\n"
    assert set(states(host)) == {"running"}


def test_more_workers_than_there_may_be_are_refused(host: Host) -> None:
    told = kubelab("node", "add", "--count", "49")
    assert told.exit_code == 2
    assert "workers.count: 51 is not allowed" in told.stderr
    assert Path("lab.yaml").read_text() == LAB


def test_what_this_host_has_no_room_for_is_not_written(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(config: ClusterConfig, facts: object) -> None:
        raise ConfigError(f"{config.workers.count} workers are too many", key="workers.memory")

    monkeypatch.setattr("provision.host.fit.check_host", no_room)
    told = kubelab("node", "add", "--count", "48")
    assert told.exit_code == 2
    assert "50 workers are too many" in told.stderr
    assert Path("lab.yaml").read_text() == LAB


def test_a_lab_that_another_command_works_on_is_not_changed(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provision.workspace.A_LOOK", 0)
    monkeypatch.setattr("provision.host.fit.check_host", lambda *_: None)
    with Workspace(Path.cwd(), "lab").lock():
        told = kubelab("node", "add")
    assert told.exit_code == 1
    assert "another kubelab command is working" in told.stderr
    assert Path("lab.yaml").read_text() == LAB
