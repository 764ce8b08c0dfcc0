"""Workers that lab.yaml has no more leave the cluster and the hypervisor, and nothing of them stays."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from provision.cluster.draining import MARK
from provision.config.names import MACHINE_LABEL
from provision.engine.steps import plan_steps
from provision.errors import ConfigError, LabError, StepFailed, VagrantError
from provision.providers.base import RUNNING, STOPPED
from provision.snapshots.manifests import Manifests, SavedNode
from provision.steps.leave import DRAIN_SECONDS, LeaveStep
from provision.steps.members import MembersStep
from tests.fakes.lab import Lab, make_lab
from tests.fakes.providers.ids import id_of
from tests.fakes.snapshots import manifest

DRAIN = "drain lab-w2 --ignore-daemonsets --delete-emptydir-data"


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A lab of two workers whose lab.yaml says one."""
    lab = make_lab(tmp_path, workers={"count": 1})
    space = lab.ctx.workspace
    space.kubeconfig.write_text("made by up\n")
    for name in ("lab-cp1", "lab-w1", "lab-w2"):
        folder = space.machine_id_file(name, "libvirt").parent
        folder.mkdir(parents=True)
        (folder / "index_uuid").write_text("x")
        if name != "lab-w2":
            lab.machines.make(name)
    also(lab, "lab-w2")
    keys = [
        f"192.168.60.{at} ssh-ed25519 key {name}={id_of(name)}"
        for at, name in ((11, "lab-cp1"), (21, "lab-w1"))
    ]
    keys.append("192.168.60.22 ssh-ed25519 key lab-w2=stray-lab-w2")
    space.known_hosts.write_text("".join(f"{line}\n" for line in keys))
    lab.kubectl.answer("patch node *")
    lab.kubectl.answer("drain *")
    lab.kubectl.answer("delete node *")
    members(lab, node("lab-w2"))
    return lab


def also(lab: Lab, name: str, state: str = RUNNING) -> None:
    """Let there be the machine of a worker that lab.yaml has no more."""
    lab.provider.stray.append(name)
    lab.provider.machines[f"stray-{name}"] = state


def node(
    name: str,
    *,
    ready: bool = True,
    cordoned: bool = False,
    marked: bool = False,
    machine: str = "",
    ident: str = "",
) -> dict[str, Any]:
    """Return a Node; `machine` is its label if it has a name of its own, `ident` what its firmware shows."""
    return {
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {MACHINE_LABEL: machine} if machine else {},
            "annotations": {MARK: "true"} if marked else {},
        },
        "spec": {"unschedulable": True} if cordoned else {},
        "status": {
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "nodeInfo": {"systemUUID": ident},
        },
    }


def members(lab: Lab, *more: dict[str, Any]) -> None:
    items = [node("lab-cp1"), node("lab-w1"), *more]
    lab.kubectl.answer("get nodes -o json", json.dumps({"items": items}))


def deeds(lab: Lab) -> list[str]:
    """Return what was asked of the cluster but questions."""
    return [call for call in lab.kubectl.calls if not call.startswith("get ")]


def said(lab: Lab, kind: str = "info") -> list[str]:
    return [event["text"] for event in lab.report.of(kind)]


def test_a_worker_is_cordoned_drained_deleted_and_destroyed_and_nothing_of_it_stays(lab: Lab) -> None:
    assert lab.run(LeaveStep()) == ["leave"]
    cordon, drain, delete = deeds(lab)
    assert cordon.startswith("patch node lab-w2 -p ")
    assert json.loads(cordon.partition(" -p ")[2]) == {
        "metadata": {"annotations": {MARK: "true"}},
        "spec": {"unschedulable": True},
    }
    assert drain == f"{DRAIN} --timeout={DRAIN_SECONDS:.0f}s"
    assert delete == "delete node lab-w2 --ignore-not-found"
    assert ("remove", ["lab-w2"]) in lab.provider.calls
    assert lab.machines.calls == ["destroy lab-w2"]
    assert ("remove_left_disks", "lab") in lab.provider.calls
    assert lab.ctx.workspace.machine_folders() == ["lab-cp1", "lab-w1"]
    known = lab.ctx.workspace.known_hosts.read_text()
    assert "lab-w2" not in known
    assert len(known.splitlines()) == 2
    assert "lab-w2" not in lab.ctx.workspace.ssh_config.read_text()
    assert lab.run(LeaveStep()) == []


def test_the_highest_number_goes_first(lab: Lab) -> None:
    for name in ("lab-w10", "lab-w3"):
        also(lab, name)
    (planned,) = plan_steps([LeaveStep()], lab.ctx)
    assert planned.text == "drain and remove lab-w10, lab-w3, lab-w2"
    lab.run(LeaveStep())
    assert lab.machines.calls == ["destroy lab-w10", "destroy lab-w3", "destroy lab-w2"]


@pytest.mark.parametrize(
    ("seen", "state", "why"),
    [
        (node("lab-w2", ready=False), RUNNING, "it is not Ready"),
        (node("lab-w2"), STOPPED, "its machine is stopped"),
        (None, RUNNING, "it is not in the cluster"),
    ],
)
def test_a_node_that_cannot_give_its_pods_away_is_not_drained(
    lab: Lab, seen: dict[str, Any] | None, state: str, why: str
) -> None:
    members(lab, *([seen] if seen else []))
    lab.provider.machines["stray-lab-w2"] = state
    lab.run(LeaveStep())
    assert said(lab) == [f"lab-w2 is not drained: {why}", "removed lab-w2"]
    assert deeds(lab) == (["delete node lab-w2 --ignore-not-found"] if seen else [])
    assert lab.provider.stray == []


def test_a_lab_that_is_off_loses_its_worker_and_its_cluster_learns_of_it_later(lab: Lab) -> None:
    lab.machines.state["lab-cp1"] = STOPPED
    lab.run(LeaveStep())
    assert lab.kubectl.calls == []
    assert said(lab)[0] == "lab-w2 is not drained: machine lab-cp1 is stopped"
    lab.machines.state["lab-cp1"] = RUNNING
    with pytest.raises(StepFailed, match="ran to its end"):
        lab.run(MembersStep())
    assert deeds(lab) == ["delete node lab-w2 --ignore-not-found"]
    members(lab)
    assert lab.run(MembersStep()) == []


def test_a_budget_that_holds_a_pod_ends_it_and_nothing_is_removed(lab: Lab) -> None:
    lab.kubectl.answer(
        "drain *",
        stderr="error when evicting pods/a: Cannot evict pod\nerror: global timeout reached: 2m0s",
        code=1,
    )
    with pytest.raises(StepFailed, match=r"lab-w2 cannot be drained: .*global timeout") as caught:
        lab.run(LeaveStep())
    assert "--force" in caught.value.hint
    assert lab.provider.stray == ["lab-w2"]
    assert lab.machines.calls == []


def test_with_force_budgets_hold_until_the_deadline_alone(lab: Lab) -> None:
    lab.kubectl.answer("drain * --force --timeout=*", stderr="error: global timeout reached: 2m0s", code=1)
    ctx = dataclasses.replace(lab.ctx, force=True)
    dataclasses.replace(lab, ctx=ctx).run(LeaveStep())
    drains = [call for call in deeds(lab) if call.startswith("drain")]
    assert "--disable-eviction" not in drains[0]
    assert drains[-1] == f"{DRAIN} --force --disable-eviction --timeout={DRAIN_SECONDS:.0f}s"
    assert lab.provider.stray == []


def test_an_api_server_that_does_not_answer_keeps_the_machine_but_with_force(lab: Lab) -> None:
    lab.kubectl.answer("get nodes -o json", stderr="Error from server (Forbidden): no", code=1)
    with pytest.raises(StepFailed, match="lab-w2 cannot be taken out") as caught:
        lab.run(LeaveStep())
    assert "--force" in caught.value.hint
    assert lab.provider.stray == ["lab-w2"]
    ctx = dataclasses.replace(lab.ctx, force=True)
    dataclasses.replace(lab, ctx=ctx).run(LeaveStep())
    assert lab.provider.stray == []
    assert "lab-w2 is removed all the same" in said(lab, "warn")[0]


def test_a_run_that_ended_half_way_goes_on_there(lab: Lab) -> None:
    def fail(*_: object) -> None:
        raise LabError("interrupted")

    remove, lab.provider.remove = lab.provider.remove, fail  # type: ignore[method-assign]
    with pytest.raises(StepFailed, match="interrupted"):
        lab.run(LeaveStep())
    members(lab)
    lab.provider.remove = remove  # type: ignore[method-assign]
    assert lab.run(LeaveStep()) == ["leave"]
    assert deeds(lab).count("delete node lab-w2 --ignore-not-found") == 1
    assert (lab.provider.stray, lab.ctx.workspace.machine_folders()) == ([], ["lab-cp1", "lab-w1"])


def test_what_vagrant_keeps_of_a_machine_that_is_gone_is_forgotten(lab: Lab) -> None:
    lab.provider.stray.clear()
    assert lab.run(LeaveStep()) == ["leave"]
    assert lab.ctx.workspace.machine_folders() == ["lab-cp1", "lab-w1"]
    assert lab.kubectl.calls == []


def test_a_machine_goes_though_vagrant_fails(lab: Lab) -> None:
    lab.machines.failure = VagrantError(["vagrant", "destroy"], 1, "not found configured")
    lab.run(LeaveStep())
    assert lab.provider.stray == []


def test_machines_of_another_folder_stay(lab: Lab) -> None:
    lab.provider.others = {"lab-w2": "/elsewhere/Vagrantfile"}
    with pytest.raises(StepFailed, match="/elsewhere") as caught:
        lab.run(LeaveStep())
    assert isinstance(caught.value.cause, ConfigError)
    assert lab.provider.stray == ["lab-w2"]


def test_snapshots_of_what_is_gone_are_told(lab: Lab) -> None:
    saved = tuple(SavedNode(name=name, id=id_of(name), size=1) for name in ("lab-cp1", "lab-w1", "lab-w2"))
    store = Manifests(lab.ctx.workspace.snapshots, "lab")
    store.write(manifest("with", nodes=saved))
    store.write(manifest("without", nodes=saved[:2]))
    lab.run(LeaveStep())
    (warning,) = said(lab, "warn")
    assert "saved with lab-w2" in warning
    assert ": with; " in warning


def test_a_node_that_stays_after_all_takes_pods_again_if_kubelab_cordoned_it(lab: Lab) -> None:
    theirs = node("lab-cp1", cordoned=True)
    ours = node("lab-w1", cordoned=True, marked=True)
    lab.kubectl.answer("get nodes -o json", json.dumps({"items": [theirs, ours]}))
    with pytest.raises(StepFailed, match="ran to its end"):
        lab.run(MembersStep())
    (patch,) = deeds(lab)
    assert patch.startswith("patch node lab-w1 ")
    assert json.loads(patch.partition(" -p ")[2]) == {
        "metadata": {"annotations": {MARK: None}},
        "spec": {"unschedulable": None},
    }


def test_a_node_that_the_user_cordoned_is_not_marked(lab: Lab) -> None:
    members(lab, node("lab-w2", cordoned=True))
    lab.run(LeaveStep())
    assert [call.split()[0] for call in deeds(lab)] == ["drain", "delete"]


def test_a_worker_that_is_still_to_leave_stays_a_member_until_then(lab: Lab) -> None:
    assert lab.run(MembersStep()) == []


@pytest.fixture
def named(lab: Lab) -> Lab:
    """The same lab, whose second worker was made with the name w2-k8s; lab.yaml does not say it any more."""
    lab.provider.hostnames["lab-w2"] = "w2-k8s"
    return lab


@pytest.mark.parametrize("ident", ["STRAY-LAB-W2", ""])
def test_the_node_of_a_name_of_its_own_leaves_with_its_machine(named: Lab, ident: str) -> None:
    members(named, node("w2-k8s", machine="lab-w2", ident=ident))
    (planned,) = plan_steps([LeaveStep()], named.ctx)
    assert planned.text == "drain and remove w2-k8s"
    named.run(LeaveStep())
    cordon, drain, delete = deeds(named)
    assert cordon.startswith("patch node w2-k8s -p ")
    assert drain.startswith("drain w2-k8s --ignore-daemonsets ")
    assert delete == "delete node w2-k8s --ignore-not-found"
    assert named.machines.calls == ["destroy lab-w2"]
    assert ("remove", ["lab-w2"]) in named.provider.calls
    assert named.ctx.workspace.machine_folders() == ["lab-cp1", "lab-w1"]
    assert said(named) == ["removed w2-k8s"]


def test_the_node_that_runs_on_the_machine_leaves_whatever_both_are_called(named: Lab) -> None:
    members(named, node("w2-k8s", ident=id_of("elsewhere")), node("renamed", ident="stray-lab-w2"))
    named.run(LeaveStep())
    assert [call.split()[:3] for call in deeds(named)[1:]] == [
        ["drain", "renamed", "--ignore-daemonsets"],
        ["delete", "node", "renamed"],
    ]


def test_a_node_that_runs_on_a_machine_that_stays_is_not_touched(named: Lab) -> None:
    members(named, node("w2-k8s", ident=id_of("lab-w1").upper()))
    with pytest.raises(StepFailed, match=r"w2-k8s is not that of lab-w2: it runs on the machine of lab-w1"):
        named.run(LeaveStep())
    assert deeds(named) == []
    assert (named.provider.stray, named.machines.calls) == (["lab-w2"], [])


def test_snapshots_of_a_machine_that_is_gone_are_told_by_the_name_of_its_node(named: Lab) -> None:
    saved = tuple(SavedNode(name=name, id=id_of(name), size=1) for name in ("lab-cp1", "lab-w1", "lab-w2"))
    Manifests(named.ctx.workspace.snapshots, "lab").write(manifest("with", nodes=saved))
    members(named)
    named.run(LeaveStep())
    (warning,) = said(named, "warn")
    assert "saved with w2-k8s" in warning


def test_a_cluster_learns_later_that_a_node_with_a_name_of_its_own_is_gone(lab: Lab) -> None:
    lab.provider.stray.clear()
    members(lab, node("w2-k8s", machine="lab-w2"), node("theirs"), node("other", machine="lab-cp9"))
    with pytest.raises(StepFailed, match="ran to its end"):
        lab.run(MembersStep())
    assert deeds(lab) == ["delete node w2-k8s --ignore-not-found"]


def test_a_node_whose_machine_is_still_to_leave_stays_by_its_label(lab: Lab) -> None:
    members(lab, node("w2-k8s", machine="lab-w2"))
    assert lab.run(MembersStep()) == []
