"""`kubelab status` from the command line, with a stub `virsh` alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from provision.cli import group
from tests.fakes.providers.virsh import Host, install

CHECKOUT = str(Path(__file__).parents[3])
NODES = ("lab-cp1", "lab-w1")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """Return a hypervisor with the machines of a lab that is off."""
    host = install(tmp_path / "bin", monkeypatch)
    monkeypatch.chdir(tmp_path)
    Path("lab.yaml").write_text("name: lab\nprovider: libvirt\nworkers: {count: 1}\n")
    for node in NODES:
        id_file = Path(f".vagrant/machines/{node}/libvirt/id")
        id_file.parent.mkdir(parents=True)
        id_file.write_text(host.domain(node, "shutoff"))
    return host


def kubelab(*arguments: str) -> Result:
    return CliRunner().invoke(group, list(arguments))


def known(result: Result) -> dict[str, Any]:
    events = [json.loads(line) for line in result.stdout.splitlines()]
    found: dict[str, Any] = next(event["data"] for event in events if event["event"] == "result")
    return found


def test_a_lab_that_is_off_is_shown_as_far_as_it_is_known(host: Host) -> None:
    assert kubelab("snapshot", "save", "a").exit_code == 0
    shown = kubelab("status")
    assert shown.exit_code == 1
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert ["lab-w1", "worker", "192.168.60.21", "stopped", "unknown"] in lines
    assert "the lab is stopped: all its machines are off" in shown.stderr
    assert "next: kubelab up" in shown.stdout
    Path(".kubelab/lab/kubeconfig").write_text("a kubeconfig\n")
    assert "next: kubelab start" in kubelab("status").stdout
    told = kubelab("status", "--json")
    assert (told.exit_code, told.stderr) == (1, "")
    assert known(told)["snapshot"]["name"] == "a"
    assert [node["machine"] for node in known(told)["nodes"]] == ["stopped"] * 2


def test_a_hypervisor_that_fails_is_told_and_no_crash(host: Host, tmp_path: Path) -> None:
    (tmp_path / "bin" / "virsh").write_text("#!/bin/sh\necho 'error: no connection' >&2\nexit 1\n")
    told = kubelab("status", "--json")
    assert told.exit_code == 1
    assert known(told)["problems"][0] == "the hypervisor does not answer: error: no connection"


def test_a_watch_ends_with_ctrl_c(host: Host, tmp_path: Path) -> None:
    (tmp_path / "bin" / "virsh").write_text("#!/bin/sh\nkill -INT $PPID\nexec sleep 60\n")
    # A shell that starts the tests in the background has them ignore Ctrl-C, and so would the command.
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    done = subprocess.run(
        [sys.executable, "-c", f"{heed}; from provision.cli import main; main()", "status", "--watch"],
        env={**os.environ, "PYTHONPATH": CHECKOUT},
        text=True,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, "interrupted" in done.stderr) == (130, True)
    assert "Traceback" not in done.stderr
