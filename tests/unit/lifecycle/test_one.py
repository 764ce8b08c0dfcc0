"""One node is drained, stopped and started, and the others run on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from provision.errors import ConfigDrift, ConfigError, LabError, StepFailed
from provision.lab import start_record
from provision.lab.start_record import UNKNOWN
from provision.lifecycle.one import drain_node, restart_node, start_node, stop_node, uncordon_node
from provision.providers.base import RUNNING, SAVED, STOPPED
from tests.fakes.lab import Lab
from tests.fakes.power import set_machines, stoppable_lab, verbs
from tests.fakes.providers.ids import id_of

NEVER, LATER = "2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z"


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = stoppable_lab(tmp_path)
    heartbeat(lab, LATER)
    return lab


def heartbeat(lab: Lab, moment: str, *, ready: bool = True) -> None:
    """Let the API server tell of lab-w1 and its last heartbeat."""
    conditions = [{"type": "Ready", "status": str(ready)}]
    items = [
        {"kind": "Node", "metadata": {"name": "lab-w1"}, "status": {"conditions": conditions}},
        {
            "kind": "Lease",
            "metadata": {"name": "lab-w1", "namespace": "kube-node-lease"},
            "spec": {"renewTime": moment},
        },
    ]
    lab.kubectl.answer("get nodes,leases*", json.dumps({"items": items}))


def state(lab: Lab, name: str) -> str:
    return lab.provider.machines[id_of(name)]


def result(lab: Lab) -> dict[str, object]:
    found: dict[str, object] = lab.report.of("result")[-1]["data"]
    return found


def test_one_machine_is_stopped_and_started_and_the_others_run_on(lab: Lab) -> None:
    stop_node(lab.ctx, "lab-w1")
    assert [state(lab, name) for name in lab.machines.known] == [RUNNING, STOPPED, RUNNING]
    assert result(lab)["changed"] is True
    assert lab.report.of("next_commands")[-1]["commands"] == ["kubelab node start lab-w1"]
    start_node(lab.ctx, "lab-w1")
    assert state(lab, "lab-w1") == RUNNING
    assert result(lab)["changed"] is True
    assert lab.provider.calls == [("shut_down", id_of("lab-w1")), ("start", id_of("lab-w1"))]


def test_a_restart_waits_for_a_heartbeat_that_is_newer(lab: Lab) -> None:
    heartbeat(lab, NEVER)
    lab.ctx.fake_clock.on_sleep = lambda: heartbeat(lab, LATER) if lab.ctx.fake_clock.time > 20 else None
    restart_node(lab.ctx, "lab-w1")
    assert lab.ctx.fake_clock.time > 20
    assert verbs(lab) == ["shut_down", "start"]


@pytest.mark.parametrize(("moment", "ready"), [(NEVER, True), (LATER, False)])
def test_a_node_that_does_not_come_back_is_told(lab: Lab, moment: str, ready: bool) -> None:
    heartbeat(lab, moment, ready=ready)
    with pytest.raises(StepFailed, match="lab-w1") as caught:
        restart_node(lab.ctx, "lab-w1")
    assert "journalctl -u kubelet" in caught.value.hint


def test_a_machine_that_does_not_heed_is_switched_off_and_told(lab: Lab) -> None:
    lab.provider.deaf = {id_of("lab-w1")}
    lab.ctx.fake_clock.speed = 10
    stop_node(lab.ctx, "lab-w1")
    assert state(lab, "lab-w1") == STOPPED
    assert result(lab)["switched_off"] is True
    assert "lab-w1 did not shut down" in lab.report.of("warn")[0]["text"]


def test_where_there_is_nothing_to_do_nothing_is_done(lab: Lab) -> None:
    start_node(lab.ctx, "lab-w1")
    assert result(lab)["changed"] is False
    set_machines(lab, STOPPED, "lab-w1")
    stop_node(lab.ctx, "lab-w1")
    assert result(lab)["changed"] is False
    assert lab.provider.calls == []


def test_a_node_of_a_lab_that_is_off_comes_back_with_the_lab(lab: Lab) -> None:
    set_machines(lab, STOPPED)
    with pytest.raises(LabError, match="the lab is stopped") as caught:
        start_node(lab.ctx, "lab-w1")
    assert caught.value.hint == "kubelab start"
    set_machines(lab, RUNNING, "lab-w2")
    with pytest.raises(LabError, match="machine lab-cp1 is stopped") as caught:
        start_node(lab.ctx, "lab-w1")
    assert caught.value.hint == "kubelab node start lab-cp1"
    assert lab.provider.calls == []


def test_kept_memory_is_not_used_up_by_one_node(lab: Lab) -> None:
    set_machines(lab, SAVED)
    with pytest.raises(LabError, match="as a whole"):
        start_node(lab.ctx, "lab-w1")
    set_machines(lab, RUNNING)
    start_record.write(lab.ctx.workspace, UNKNOWN)
    with pytest.raises(LabError, match="as a whole"):
        restart_node(lab.ctx, "lab-w1")
    assert lab.provider.calls == []


@pytest.mark.parametrize("deed", [drain_node, uncordon_node, stop_node, start_node, restart_node])
def test_machines_of_others_and_names_of_none_are_left_alone(lab: Lab, deed: object) -> None:
    assert callable(deed)
    with pytest.raises(ConfigError, match="there is no node"):
        deed(lab.ctx, "lab-w7")
    lab.provider.others = {"lab-w1": "/elsewhere/Vagrantfile"}
    with pytest.raises(ConfigError, match="/elsewhere"):
        deed(lab.ctx, "lab-w1")
    lab.provider.others = {}
    del lab.machines.known["lab-w1"]
    with pytest.raises(LabError, match="lab-w1 has no machine"):
        deed(lab.ctx, "lab-w1")
    assert lab.provider.calls == []


def test_a_drain_moves_the_pods_and_an_uncordon_ends_it(lab: Lab) -> None:
    lab.kubectl.answer("drain lab-w1 --ignore-daemonsets --delete-emptydir-data --timeout=*")
    lab.kubectl.answer("patch node lab-w1 *")
    drain_node(lab.ctx, "lab-w1")
    # It was the user who cordoned it, so `up` leaves it so.
    assert [call.split()[0] for call in lab.kubectl.calls] == ["drain"]
    uncordon_node(lab.ctx, "lab-w1")
    assert '"unschedulable": null' in lab.kubectl.calls[-1]


@pytest.mark.parametrize("off", ["lab-cp1", "lab-w1"])
def test_a_drain_needs_the_machine_and_the_control_plane(lab: Lab, off: str) -> None:
    set_machines(lab, STOPPED, off)
    with pytest.raises(LabError, match=f"the machine {off} is stopped"):
        drain_node(lab.ctx, "lab-w1")
    assert lab.kubectl.calls == []


def test_either_name_of_a_node_means_its_machine_alone(tmp_path: Path) -> None:
    lab = stoppable_lab(tmp_path, nodes={"lab-w1": {"name": "w1-k8s"}})
    lab.kubectl.answer("drain *")
    for name in ("w1-k8s", "lab-w1"):
        drain_node(lab.ctx, name)
        assert lab.kubectl.calls[-1].startswith("drain w1-k8s ")
        assert result(lab)["node"] == "w1-k8s"
    stop_node(lab.ctx, "lab-w1")
    assert lab.provider.calls == [("shut_down", id_of("lab-w1"))]
    assert lab.report.of("next_commands")[-1]["commands"] == ["kubelab node start w1-k8s"]
    assert lab.machines.states() == {"lab-cp1": RUNNING, "w1-k8s": STOPPED, "lab-w2": RUNNING}


def test_a_node_is_not_started_under_another_name_than_it_joined_by(tmp_path: Path) -> None:
    lab = stoppable_lab(tmp_path, nodes={"lab-w1": {"name": "w1-k8s"}})
    lab.provider.hostnames = {"lab-cp1": "lab-cp1", "lab-w1": "lab-w1"}
    for deed in (start_node, restart_node):
        with pytest.raises(ConfigDrift, match=r"nodes\.lab-w1\.name: the lab has lab-w1") as caught:
            deed(lab.ctx, "w1-k8s")
        assert caught.value.exit_code == 2
    assert lab.provider.calls == []
