from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from provision.errors import ConfigDrift, ConnectFailed, Result, StepFailed, VagrantError
from provision.providers.base import PAUSED, RUNNING, STOPPED
from provision.ssh import host_keys
from provision.ssh.runner import Endpoint
from provision.steps.machines import MachinesStep, NetworkStep, VagrantfileStep
from tests.fakes.lab import Lab, make_lab
from tests.fakes.node.runner import FakeRunner
from tests.fakes.providers.ids import id_of


class FirstContact(FakeRunner):
    """An SSH connection to a machine that shows its id and a host key."""

    shown: dict[str, str] = {}  # noqa: RUF012 - set by each test's fixture

    def __init__(self, endpoint: Endpoint, **options: Any) -> None:
        uuid = self.shown.get(endpoint.node, id_of(endpoint.node))
        super().__init__(endpoint.node, [("product_uuid", Result(f"{uuid}\n", "", 0))])
        self.pin = endpoint.pin

    def host_key(self) -> tuple[str, str]:
        return "ssh-ed25519", f"key-of-{self.node}"

    def trust_recorded_key(self) -> None:
        self.pin = False

    def close(self) -> None:
        pass


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setattr(host_keys, "ParamikoRunner", FirstContact)
    monkeypatch.setattr(FirstContact, "shown", {})
    return make_lab(tmp_path, workers={"count": 1})


def up(lab: Lab) -> list[str]:
    return lab.run(MachinesStep())


def test_machines_are_made_once_and_their_keys_recorded(lab: Lab) -> None:
    assert up(lab) == ["machines"]
    assert lab.machines.calls == ["up"]
    known = lab.ctx.workspace.known_hosts.read_text()
    assert f"192.168.60.11 ssh-ed25519 key-of-lab-cp1 lab-cp1={id_of('lab-cp1')}\n" in known
    assert f"192.168.60.21 ssh-ed25519 key-of-lab-w1 lab-w1={id_of('lab-w1')}\n" in known
    assert up(lab) == []
    assert lab.machines.calls == ["up"]


def test_disks_without_a_machine_are_removed_before_it_is_made_and_not_later(lab: Lab) -> None:
    up(lab)
    assert ("remove_left_disks", "lab") in lab.provider.calls
    lab.provider.calls.clear()
    lab.machines.state["lab-w1"] = STOPPED
    assert up(lab) == ["machines"]
    assert lab.provider.calls == []


def test_the_connection_that_recorded_a_key_is_kept_and_trusts_no_other(lab: Lab) -> None:
    up(lab)
    for node in lab.ctx.inventory.nodes:
        runner = lab.ctx.connect(node)
        assert isinstance(runner, FirstContact)
        assert runner.pin is False


def test_a_machine_that_is_not_the_one_vagrant_made_is_refused(lab: Lab) -> None:
    FirstContact.shown["lab-w1"] = "another"
    with pytest.raises(StepFailed, match="lab-w1") as caught:
        up(lab)
    assert isinstance(caught.value.cause, ConnectFailed)
    assert not lab.ctx.workspace.known_hosts.exists()


def test_a_machine_made_anew_shows_its_new_key(lab: Lab) -> None:
    up(lab)
    lab.machines.known["lab-w1"] = "new-id"
    FirstContact.shown["lab-w1"] = "new-id"
    assert up(lab) == ["machines"]
    known = lab.ctx.workspace.known_hosts.read_text()
    assert "lab-w1=new-id" in known
    assert f"lab-w1={id_of('lab-w1')}" not in known
    assert lab.machines.calls == ["up"]


def test_paused_machines_run_on_and_are_not_booted(lab: Lab) -> None:
    up(lab)
    lab.provider.calls.clear()
    lab.machines.make("lab-w1", PAUSED)
    resume = lab.provider.resume

    def resume_for_real(ids: list[str]) -> None:
        resume(ids)
        lab.machines.make("lab-w1")

    lab.provider.resume = resume_for_real  # type: ignore[assignment, method-assign]
    assert up(lab) == ["machines"]
    assert lab.provider.calls == [("resume", [id_of("lab-w1")])]
    assert lab.machines.calls == ["up"]


@pytest.mark.parametrize("state", [STOPPED, None])
def test_a_machine_that_is_stopped_or_gone_is_brought_up(lab: Lab, state: str | None) -> None:
    up(lab)
    if state:
        lab.machines.make("lab-w1", state)
    else:
        del lab.machines.state["lab-w1"]
    assert up(lab) == ["machines"]
    assert lab.machines.calls == ["up", "up"]


def test_half_made_machines_are_removed_before_vagrant_runs(lab: Lab) -> None:
    lab.provider.stray = ["lab-w1"]
    lab.machines.failure = VagrantError(["vagrant", "up"], 1, "boom")
    with pytest.raises(StepFailed):
        up(lab)
    assert lab.provider.calls[0] == ("remove", ["lab-w1"])
    lab.machines.failure = None
    assert up(lab) == ["machines"]


def test_machines_that_another_folder_made_meanwhile_are_not_removed(lab: Lab) -> None:
    lab.provider.others = {"lab-cp1": "/elsewhere/Vagrantfile"}
    with pytest.raises(StepFailed, match="/elsewhere/Vagrantfile") as caught:
        up(lab)
    assert caught.value.exit_code == 2
    assert (lab.provider.calls, lab.machines.calls) == ([], [])


def test_a_machine_that_runs_is_not_half_made(lab: Lab) -> None:
    lab.provider.stray = ["lab-w1"]
    lab.provider.machines = {"stray-lab-w1": RUNNING}
    with pytest.raises(StepFailed, match="lost its id") as caught:
        up(lab)
    assert caught.value.exit_code == 2
    assert (lab.provider.calls, lab.machines.calls) == ([], [])


@pytest.mark.parametrize("running", [False, True])
def test_a_node_that_left_the_file_is_refused_and_not_touched(lab: Lab, running: bool) -> None:
    # Also where every node that stayed is as it should be.
    if running:
        up(lab)
    done = list(lab.machines.calls)
    lab.provider.calls.clear()
    lab.provider.stray = ["lab-w2"]
    with pytest.raises(StepFailed, match="lab-w2") as caught:
        up(lab)
    assert isinstance(caught.value.cause, ConfigDrift)
    assert caught.value.exit_code == 2
    assert "kubelab up, from its first step" in caught.value.hint
    assert (lab.provider.calls, lab.machines.calls) == ([], done)


def test_the_vagrantfile_and_the_key_are_written_once(lab: Lab) -> None:
    space = lab.ctx.workspace
    assert lab.run(VagrantfileStep()) == ["vagrantfile"]
    key, text = space.ssh_key.read_text(), space.vagrantfile.read_text()
    assert lab.run(VagrantfileStep()) == []
    space.vagrantfile.write_text(f"{text}edited by hand")
    assert lab.run(VagrantfileStep()) == ["vagrantfile"]
    assert (space.ssh_key.read_text(), space.vagrantfile.read_text()) == (key, text)
    assert space.ssh_key.stat().st_mode & 0o777 == 0o600


def test_a_lost_key_is_made_again(lab: Lab) -> None:
    lab.run(VagrantfileStep())
    lab.ctx.workspace.ssh_key.unlink()
    assert lab.run(VagrantfileStep()) == ["vagrantfile"]


def test_the_network_is_made_once(lab: Lab) -> None:
    assert lab.run(NetworkStep()) == ["network"]
    assert lab.run(NetworkStep()) == []
    assert lab.provider.calls == [("make_network", "lab")]


def test_every_plan_names_what_it_is_about(lab: Lab) -> None:
    assert str(lab.ctx.workspace.vagrantfile) in VagrantfileStep().plan(lab.ctx)
    assert "192.168.60.0/24" in NetworkStep().plan(lab.ctx)
    assert "lab-cp1, lab-w1" in MachinesStep().plan(lab.ctx)


def test_a_vagrant_that_makes_nothing_and_says_all_is_well_is_told(lab: Lab) -> None:
    lab.machines.names.remove("lab-w1")
    with pytest.raises(StepFailed, match="made no machine for lab-w1"):
        up(lab)
