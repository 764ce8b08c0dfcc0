"""Scripts and files of lab.yaml, brought to sandboxes in which the scripts run for real."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from provision.errors import ConfigError, StepFailed
from provision.node import tasks
from provision.steps.provision import ProvisionStep
from tests.fakes.lab import Lab, make_lab
from tests.fakes.node.sandbox import Sandbox

SCRIPT = "#!/bin/sh\necho $KUBELAB_LAB $KUBELAB_NODE $KUBELAB_ROLE >> ran; echo it said this\n"
FAILS = "#!/bin/sh\necho no such package >&2\nexit 3\n"


def made(root: Path, **keys: Any) -> tuple[Lab, dict[str, Sandbox]]:
    """Return a lab whose workers run the script `a.sh`; all get the file `motd`."""
    root.mkdir(exist_ok=True)
    (root / "a.sh").write_text(SCRIPT)
    (root / "motd").write_text("hello\n")
    motd = {"file": str(root / "motd"), "to": "/etc/motd", "mode": "0600"}
    given = {
        "controlPlanes": {"provision": [motd]},
        "workers": {"count": 1, "provision": [{"script": str(root / "a.sh")}, motd]},
    }
    found: dict[str, Sandbox] = {}
    lab = make_lab(root, changes={"connect": lambda node: found[node.name]}, **given | keys)
    found.update({node.name: Sandbox(node.name, root / node.name) for node in lab.ctx.inventory.nodes})
    return lab, found


def ran(node: Sandbox) -> list[str]:
    file = node.path("/ran")
    return file.read_text().splitlines() if file.exists() else []


def test_every_node_gets_what_its_pool_says_once(tmp_path: Path) -> None:
    lab, nodes = made(tmp_path)
    assert lab.run(ProvisionStep()) == ["provision"]
    assert (ran(nodes["lab-cp1"]), ran(nodes["lab-w1"])) == ([], ["lab lab-w1 worker"])
    for node in nodes.values():
        assert node.path("/etc/motd").read_text() == "hello\n"
        assert node.path("/etc/motd").stat().st_mode & 0o777 == 0o600
        assert not node.path(tasks.SCRIPT).exists()
    said = [event for event in lab.report.of("said") if "it said this" in event["text"]]
    assert [event["source"] for event in said] == ["lab-w1: a.sh"]
    assert lab.run(ProvisionStep()) == []


def test_what_changed_is_brought_again_and_the_rest_is_not(tmp_path: Path) -> None:
    lab, nodes = made(tmp_path)
    lab.run(ProvisionStep())
    nodes["lab-w1"].path("/etc/motd").unlink()
    (tmp_path / "a.sh").write_text(f"{SCRIPT}# again\n")
    assert lab.run(ProvisionStep()) == ["provision"]
    assert len(ran(nodes["lab-w1"])) == 2
    assert not nodes["lab-w1"].path("/etc/motd").exists()


def test_what_was_taken_out_is_forgotten_and_runs_again_once_it_is_back(tmp_path: Path) -> None:
    lab, nodes = made(tmp_path)
    lab.run(ProvisionStep())
    without, others = made(tmp_path / "2", controlPlanes={}, workers={"count": 1})
    others.update(nodes)
    assert without.run(ProvisionStep()) == ["provision"]
    assert without.run(ProvisionStep()) == []
    assert lab.run(ProvisionStep()) == ["provision"]
    assert len(ran(nodes["lab-w1"])) == 2


def test_a_script_that_fails_is_told_with_its_node_and_runs_again(tmp_path: Path) -> None:
    lab, nodes = made(tmp_path)
    (tmp_path / "a.sh").write_text(FAILS)
    with pytest.raises(StepFailed) as caught:
        lab.run(ProvisionStep())
    told = f"{caught.value} {caught.value.details}"
    assert "lab-w1" in told
    assert "a.sh` ended with exit code 3" in told
    assert "no such package" in told
    assert not nodes["lab-w1"].path("/etc/motd").exists()
    (tmp_path / "a.sh").write_text(SCRIPT)
    lab.run(ProvisionStep())
    assert len(ran(nodes["lab-w1"])) == 1


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "large"])
def test_what_cannot_be_read_is_told_with_its_key(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "script"
    if kind == "folder":
        file.mkdir()
    elif kind == "pipe":
        os.mkfifo(file)
    elif kind == "large":
        file.write_bytes(b"x" * (tasks.LARGEST_MIB * 2**20 + 1))
    own = {"lab-w1": {"provision": [{"script": str(file)}]}}
    lab, _ = made(tmp_path, nodes=own)
    with pytest.raises(ConfigError) as caught:
        tasks.check(lab.ctx.config)
    assert caught.value.key == "nodes.lab-w1.provision.0"
