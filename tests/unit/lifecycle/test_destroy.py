from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

import pytest

from provision.cluster.kubeconfig import merge_into
from provision.config.schema import ClusterConfig
from provision.errors import ConfigError, ToolFailed, VagrantError
from provision.lifecycle.destroy import destroy
from provision.providers.base import LabMachine
from provision.ssh.keys import make_key
from tests.fakes.lab import Lab, make_lab
from tests.fakes.providers.ids import id_of
from tests.fakes.providers.provider import FakeProvider
from tests.fakes.providers.snapshots import FakeVm


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """Return a lab as `up` leaves it."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    made = make_lab(tmp_path, workers={"count": 1})
    space = made.ctx.workspace
    make_key(space.ssh_key, "lab")
    for file in (space.known_hosts, space.ssh_config, space.kubeconfig, space.run_log, space.vagrantfile):
        file.write_text("made by up\n")
    (tmp_path / "lab.yaml").write_text("name: lab\n")
    for node in made.ctx.inventory.nodes:
        made.machines.make(node.name)
        keep_id(made, node.name)
    made.provider.network = True
    return made


def keep_id(lab: Lab, node: str) -> Path:
    """Write the file in which Vagrant keeps a machine's id."""
    file = lab.ctx.workspace.machine_id_file(node, "libvirt")
    file.parent.mkdir(parents=True)
    file.write_text("id\n")
    return file


def test_machines_network_keys_and_kubeconfig_go_and_the_run_log_stays(lab: Lab) -> None:
    (lab.ctx.workspace.state / "verify.json").write_text("{}")
    destroy(lab.ctx)
    assert lab.machines.calls == ["destroy"]
    assert lab.provider.calls[-1] == ("remove_rest", "lab")
    assert not lab.provider.network
    assert {path.name for path in lab.ctx.workspace.state.iterdir()} == {"run.log"}
    root = lab.ctx.workspace.root
    assert (root / "lab.yaml").exists()
    assert list((root / ".vagrant" / "machines").iterdir()) == []
    assert lab.report.of("warn") == []
    assert lab.report.of("result")[0]["data"]["lab"] == "lab"


def write_kubeconfig(lab: Lab) -> None:
    entry = {"name": "lab", "cluster": {"certificate-authority-data": "b3Vycw=="}}
    parts = {"clusters": [entry], "users": [{"name": "lab-admin"}], "contexts": [{"name": "lab"}]}
    lab.ctx.workspace.kubeconfig.write_text(json.dumps({"kind": "Config", **parts, "current-context": "lab"}))


def test_the_context_goes_out_of_the_users_own_kubeconfig(lab: Lab, tmp_path: Path) -> None:
    write_kubeconfig(lab)
    own = tmp_path / "home/.kube/config"
    merge_into(own, lab.ctx.workspace.kubeconfig)
    destroy(lab.ctx)
    assert "lab" not in own.read_text()
    assert f"took the context lab out of {own}" in [event["text"] for event in lab.report.of("info")]


def test_a_kubeconfig_of_the_user_that_cannot_be_read_keeps_nothing_from_its_end(
    lab: Lab, tmp_path: Path
) -> None:
    write_kubeconfig(lab)
    own = tmp_path / "home/.kube/config"
    own.parent.mkdir(parents=True)
    own.write_text("kind: List\n")
    destroy(lab.ctx)
    (warning,) = lab.report.of("warn")
    assert "may still be in your kubeconfig" in warning["text"]
    assert own.read_text() == "kind: List\n"
    assert not lab.ctx.workspace.kubeconfig.exists()


def test_what_killed_writes_left_goes_too(lab: Lab) -> None:
    state = lab.ctx.workspace.state
    for name in (".id_ed25519.a1b2c3d4", ".id_ed25519.pub.x", ".kubeconfig.abcdefgh", ".journal.json._x"):
        (state / name).write_text("a part of a key")
    (state / ".mine").write_text("of the user")
    destroy(lab.ctx)
    assert {path.name for path in state.iterdir()} == {"run.log", ".mine"}


def test_what_vagrant_does_not_know_is_asked_of_the_hypervisor(lab: Lab) -> None:
    lab.provider.stray = ["lab-w1", "lab-w7"]
    destroy(lab.ctx)
    assert lab.provider.calls == [("remove", ["lab-w1", "lab-w7"]), ("remove_rest", "lab")]


def test_machines_are_removed_though_vagrant_fails(lab: Lab) -> None:
    lab.machines.failure = VagrantError(["vagrant", "destroy"], 1, "a plugin is missing")
    lab.provider.stray = ["lab-cp1", "lab-w1"]
    destroy(lab.ctx)
    assert ("remove", ["lab-cp1", "lab-w1"]) in lab.provider.calls
    assert "Vagrant failed" in lab.report.of("warn")[0]["text"]
    assert not lab.ctx.workspace.known_hosts.exists()


def test_the_ids_of_nodes_that_left_the_file_are_forgotten_too(lab: Lab) -> None:
    gone = keep_id(lab, "lab-w3")
    others = [keep_id(lab, "other-cp1"), keep_id(lab, "lab-extra")]
    destroy(lab.ctx)
    assert not gone.exists()
    assert all(file.exists() for file in others)


class Failing(FakeProvider):
    def remove_rest(self, config: ClusterConfig) -> None:
        raise ToolFailed(["virsh"], 1, "no connection")

    def lab_machines(self, config: object, ids: Collection[str] = ()) -> list[LabMachine]:
        return []


def test_nothing_is_forgotten_while_something_is_left(tmp_path: Path) -> None:
    failing = Failing()
    lab = make_lab(tmp_path, changes={"provider": failing})
    lab.ctx.workspace.kubeconfig.write_text("still of use\n")
    with pytest.raises(ToolFailed):
        destroy(lab.ctx)
    assert lab.ctx.workspace.kubeconfig.exists()
    assert lab.report.of("result") == []


def test_a_lab_that_was_never_made_is_removed_without_complaint(tmp_path: Path) -> None:
    lab = make_lab(tmp_path)
    destroy(lab.ctx)
    destroy(lab.ctx)
    assert lab.report.of("warn") == []
    assert len(lab.report.of("result")) == 2


def test_snapshots_go_with_the_machines_that_hold_them(lab: Lab) -> None:
    space = lab.ctx.workspace
    for node, machine in lab.machines.ids().items():
        lab.backend.vms[machine] = FakeVm(held={"a": (node, True)})
    space.snapshots.mkdir(parents=True)
    (space.snapshots / "a.json").write_text("{}")
    readme = space.snapshots.parent / "README.md"
    readme.write_text("mine")
    space.journal.write_text("{}")
    destroy(lab.ctx)
    assert [call for call in lab.backend.calls if call.startswith("forget")] == [
        f"forget {id_of('lab-cp1')}",
        f"forget {id_of('lab-w1')}",
    ]
    assert not space.snapshots.exists()
    assert not space.journal.exists()
    assert readme.exists()


def test_machines_go_though_the_hypervisor_cannot_forget_their_snapshots(lab: Lab) -> None:
    def refuse(call: str) -> None:
        raise ToolFailed(["virsh"], 1, "no")

    lab.backend.before = refuse
    destroy(lab.ctx)
    assert lab.machines.calls == ["destroy"]


def test_a_lab_of_the_same_name_in_another_folder_is_not_touched(lab: Lab) -> None:
    lab.provider.others = {"lab-cp1": "/elsewhere/Vagrantfile"}
    with pytest.raises(ConfigError, match="/elsewhere/Vagrantfile"):
        destroy(lab.ctx)
    assert lab.provider.calls == []
    assert lab.machines.calls == []


def test_machines_that_another_folder_made_meanwhile_are_not_touched(lab: Lab) -> None:
    lab.provider.stray = ["lab-w1"]
    forget = lab.machines.destroy

    def destroy_slowly() -> None:
        forget()
        lab.provider.others = {"lab-cp1": "/elsewhere/Vagrantfile"}

    lab.machines.destroy = destroy_slowly  # type: ignore[method-assign]
    destroy(lab.ctx)
    assert ("remove", ["lab-w1"]) in lab.provider.calls


def test_the_machines_of_a_moved_folder_go_also_where_vagrant_fails(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = LabMachine("lab-w1", id_of("lab-w1"), Path("/gone/Vagrantfile"))
    monkeypatch.setattr(lab.provider, "lab_machines", lambda *_: [moved])
    lab.machines.failure = VagrantError(["vagrant", "destroy"], 1, "a plugin is missing")
    destroy(lab.ctx)
    assert ("remove", ["lab-w1"]) in lab.provider.calls
