from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from provision.errors import (
    ConfigDrift,
    ConfigError,
    ConnectFailed,
    LabError,
    MachineBusy,
    StepFailed,
    ToolFailed,
)
from provision.lab import start_record
from provision.lab.context import Context
from provision.lab.start_record import UNKNOWN, StartRecord
from provision.lifecycle import comeback
from provision.lifecycle import start as module
from provision.lifecycle.start import go_on, start
from provision.lifecycle.stop import stop
from provision.lifecycle.suspend import suspend
from provision.providers.base import PAUSED, RUNNING, SAVED, STOPPED
from tests.fakes.lab import Lab
from tests.fakes.node.credentials import at
from tests.fakes.node.runner import OK
from tests.fakes.power import cluster, machines, pod, set_machines, stoppable_lab, verbs
from tests.fakes.providers.ids import id_of
from tests.fakes.snapshots import YEAR

FILE = Path("lab.yaml")
THEN, LATER = "2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"


class Heart:
    """Heartbeats that come once `beats` is true."""

    beats = True

    def is_done(self, ctx: Context) -> bool:
        return self.beats


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    made = stoppable_lab(tmp_path)
    cluster(made)
    return made


@pytest.fixture(autouse=True)
def heart(monkeypatch: pytest.MonkeyPatch) -> Heart:
    heart = Heart()
    monkeypatch.setattr(comeback, "_heartbeats", lambda record: heart)
    return heart


@pytest.fixture(autouse=True)
def proofs(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    done: list[Path] = []
    monkeypatch.setattr(module, "prove", lambda ctx, file: done.append(file) or 1.0)
    return done


@pytest.fixture(autouse=True)
def repairs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, Any]]:
    """Let repair do nothing; return to which time each looked back, and until when all is good."""
    done: list[tuple[float, Any]] = []

    def note(ctx: Context, moment: float, good_until: dt.datetime | None = None) -> None:
        done.append((moment, good_until))

    monkeypatch.setattr(module, "repair", note)
    return done


def said(lab: Lab, kind: str) -> list[str]:
    return [event["text"] for event in lab.report.of(kind)]


def record(lab: Lab) -> StartRecord | None:
    return start_record.read(lab.ctx.workspace)


def test_a_stopped_lab_boots_and_is_proved(
    lab: Lab, proofs: list[Path], repairs: list[tuple[float, Any]]
) -> None:
    stop(lab.ctx)
    lab.provider.calls.clear()
    start(lab.ctx, FILE)
    assert machines(lab) == {RUNNING}
    assert verbs(lab) == ["start"]
    assert (proofs, repairs, record(lab)) == ([FILE], [], None)
    assert lab.report.of("result")[-1]["data"]["changed"] is True


def test_a_saved_lab_runs_on_at_once_and_is_repaired_as_after_a_restore(
    lab: Lab, proofs: list[Path], repairs: list[tuple[float, Any]]
) -> None:
    suspend(lab.ctx)
    saved = record(lab)
    assert saved is not None
    lab.provider.calls.clear()
    start(lab.ctx, FILE)
    assert machines(lab) == {RUNNING}
    # All are loaded before any runs on.
    assert verbs(lab) == ["start", "resume"]
    assert [ids for verb, ids in lab.provider.calls if verb == "resume"] == [
        list(lab.machines.known.values())
    ]
    assert repairs == [(saved.time.timestamp(), at(YEAR))]
    assert (proofs, record(lab)) == ([FILE], None)


def test_what_was_not_healthy_when_it_was_saved_is_told_and_not_waited_for(
    lab: Lab, proofs: list[Path]
) -> None:
    cluster(lab, ready=False)
    suspend(lab.ctx)
    start(lab.ctx, FILE)
    assert said(lab, "warn")[0].startswith("not ready, as when the lab was stopped: node lab-cp1")
    assert (proofs, record(lab)) == ([], None)


def test_a_lab_that_something_else_saved_is_looked_at_wholly(
    lab: Lab, repairs: list[tuple[float, Any]]
) -> None:
    set_machines(lab, SAVED)
    start(lab.ctx, FILE)
    assert repairs == [(0.0, None)]


def test_on_a_running_lab_there_is_nothing_to_do(lab: Lab, proofs: list[Path]) -> None:
    start(lab.ctx, FILE)
    assert (lab.provider.calls, proofs) == ([], [])
    assert lab.report.of("result")[-1]["data"]["changed"] is False


def test_after_a_reboot_of_the_host_the_network_comes_first(lab: Lab) -> None:
    set_machines(lab, STOPPED)
    lab.provider.network = False
    start(lab.ctx, FILE)
    assert verbs(lab) == ["make_network", "start"]


def test_a_lab_that_was_never_made_is_for_up(lab: Lab) -> None:
    lab.machines.known.clear()
    with pytest.raises(ConfigError, match="has no machines yet") as caught:
        start(lab.ctx, FILE)
    assert (caught.value.exit_code, caught.value.hint) == (2, "kubelab up")


def test_so_is_one_whose_node_or_cluster_is_missing(lab: Lab) -> None:
    lab.ctx.workspace.kubeconfig.unlink()
    with pytest.raises(ConfigError, match="no cluster yet"):
        start(lab.ctx, FILE)
    del lab.machines.known["lab-w1"]
    with pytest.raises(ConfigError, match="lab-w1 has no machine"):
        start(lab.ctx, FILE)
    assert lab.provider.calls == []


def test_machines_of_another_folder_are_refused(lab: Lab) -> None:
    set_machines(lab, STOPPED)
    lab.provider.others = {"lab-cp1": "/elsewhere/Vagrantfile"}
    with pytest.raises(ConfigError, match="made from /elsewhere/Vagrantfile"):
        start(lab.ctx, FILE)
    assert machines(lab) == {STOPPED}


def test_pods_that_are_told_of_as_before_the_boot_are_waited_for(lab: Lab) -> None:
    set_machines(lab, STOPPED)
    cluster(lab, pod("dns", "kube-system", THEN))
    lab.ctx.fake_clock.on_sleep = lambda: cluster(lab, pod("dns", "kube-system", LATER))
    start(lab.ctx, FILE)
    waited = [event["text"] for event in lab.report.of("progress")]
    assert "pod kube-system/dns has not been started yet" in waited


def test_a_node_without_a_heartbeat_since_is_waited_for(lab: Lab, heart: Heart) -> None:
    set_machines(lab, STOPPED)
    heart.beats = False
    lab.ctx.fake_clock.on_sleep = lambda: setattr(heart, "beats", True)
    start(lab.ctx, FILE)
    assert lab.ctx.fake_clock.time > 0


def test_new_leaders_do_not_wait_for_those_that_went_with_their_machine(lab: Lab) -> None:
    set_machines(lab, STOPPED)
    cluster(lab, ready=False)
    renewed = {"kube-controller-manager": THEN, "kube-scheduler": LATER, "another": THEN}
    leases = [{"metadata": {"name": name}, "spec": {"renewTime": at}} for name, at in renewed.items()]
    lab.kubectl.answer("get leases*", json.dumps({"items": leases}))
    lab.kubectl.answer("delete leases*")
    lab.ctx.fake_clock.on_sleep = lambda: cluster(lab)
    start(lab.ctx, FILE)
    (freed,) = [call for call in lab.kubectl.calls if call.startswith("delete")]
    assert [name for name in renewed if name in freed.split()] == ["kube-controller-manager"]


def test_leaders_that_ran_on_keep_their_leases(lab: Lab) -> None:
    set_machines(lab, RUNNING)
    set_machines(lab, STOPPED, "lab-w1")
    cluster(lab, ready=False)
    lab.ctx.fake_clock.on_sleep = lambda: cluster(lab)
    start(lab.ctx, FILE)
    assert not [call for call in lab.kubectl.calls if "lease" in call]


def test_a_broken_pod_of_the_users_own_does_not_keep_the_lab_from_starting(
    lab: Lab, proofs: list[Path]
) -> None:
    set_machines(lab, STOPPED)
    cluster(lab, pod("exercise", "default", LATER, ready=False))
    start(lab.ctx, FILE)
    assert said(lab, "warn")[0].startswith("not waited for any longer: pod default/exercise")
    assert proofs == [FILE]


def test_a_cluster_that_does_not_come_back_is_repaired(
    lab: Lab, repairs: list[tuple[float, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_machines(lab, STOPPED)
    cluster(lab, ready=False)
    lab.ctx.fake_clock.speed = 10

    def mend(ctx: Context, moment: float) -> None:
        repairs.append((moment, None))
        cluster(lab)

    monkeypatch.setattr(module, "repair", mend)
    start(lab.ctx, FILE)
    assert len(repairs) == 1
    assert record(lab) is None


def test_one_that_cannot_be_repaired_ends_red_and_is_to_be_started_again(
    lab: Lab, proofs: list[Path]
) -> None:
    set_machines(lab, STOPPED)
    cluster(lab, ready=False)
    lab.ctx.fake_clock.speed = 10
    with pytest.raises(StepFailed, match="node lab-w1 is not Ready"):
        start(lab.ctx, FILE)
    assert record(lab) is not None
    # Although all machines run now.
    cluster(lab)
    start(lab.ctx, FILE)
    assert (proofs, record(lab)) == ([FILE], None)


def test_a_machine_that_was_still_shutting_down_is_started_once_it_is_off(lab: Lab) -> None:
    set_machines(lab, STOPPED, "lab-cp1")
    cluster(lab, ready=False)

    def go_off() -> None:
        lab.ctx.fake_clock.on_sleep = lambda: cluster(lab)
        set_machines(lab, STOPPED, "lab-w1")

    lab.ctx.fake_clock.on_sleep = go_off
    start(lab.ctx, FILE)
    assert machines(lab) == {RUNNING}
    assert ("start", id_of("lab-w1")) in lab.provider.calls


@pytest.mark.parametrize("state", [SAVED, STOPPED])
def test_a_killed_start_goes_on_although_the_machines_run(
    lab: Lab, state: str, proofs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_machines(lab, state)
    with monkeypatch.context() as patch:
        patch.setattr(module, "ComebackStep", lambda record: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            start(lab.ctx, FILE)
    assert (machines(lab), proofs) == ({RUNNING}, [])
    go_on(lab.ctx, FILE)
    assert (proofs, record(lab)) == ([FILE], None)


def test_an_interrupted_save_is_undone_by_start(lab: Lab) -> None:
    start_record.write(lab.ctx.workspace, UNKNOWN)
    set_machines(lab, SAVED, "lab-cp1")
    set_machines(lab, PAUSED, "lab-w1", "lab-w2")
    start(lab.ctx, FILE)
    assert machines(lab) == {RUNNING}
    assert len([call for call in lab.provider.calls if call[0] == "resume"]) == 1


def test_a_hypervisor_at_work_for_a_killed_command_is_waited_for(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_machines(lab, STOPPED)
    begin, busy = lab.provider.start, [2]

    def start_later(machine: str) -> None:
        if busy[0]:
            busy[0] -= 1
            raise MachineBusy("libvirt is still at work")
        begin(machine)

    monkeypatch.setattr(lab.provider, "start", start_later)
    start(lab.ctx, FILE)
    assert machines(lab) == {RUNNING}


def test_memory_that_cannot_be_loaded_is_told_with_its_node(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_machines(lab, SAVED)
    begin = lab.provider.start

    def fail(machine: str) -> None:
        if machine == id_of("lab-w1"):
            raise ToolFailed(["virsh", "start", machine], 1, "error: missing feature")
        begin(machine)

    monkeypatch.setattr(lab.provider, "start", fail)
    with pytest.raises(LabError, match="lab-w1 does not start: error: missing feature") as caught:
        start(lab.ctx, FILE)
    assert "kubelab reset" in caught.value.hint


def test_a_node_that_boots_slowly_is_waited_for(lab: Lab) -> None:
    set_machines(lab, STOPPED)
    runner = lab.runners["lab-w1"]
    runner.script.insert(0, ("echo booted", ConnectFailed("lab-w1", "no route")))
    lab.ctx.fake_clock.on_sleep = lambda: runner.script.__setitem__(0, ("echo booted", OK))
    start(lab.ctx, FILE)
    assert lab.ctx.fake_clock.time > 0


def test_up_leaves_a_lab_alone_that_was_merely_stopped(lab: Lab) -> None:
    set_machines(lab, STOPPED)
    go_on(lab.ctx, FILE)
    assert machines(lab) == {STOPPED}


def test_up_wakes_a_saved_lab_to_which_a_node_was_added(lab: Lab, proofs: list[Path]) -> None:
    set_machines(lab, SAVED)
    del lab.machines.known["lab-w2"]
    go_on(lab.ctx, FILE)
    assert lab.provider.machines[id_of("lab-w1")] == RUNNING
    assert (proofs, record(lab)) == ([], None)


@pytest.mark.parametrize(("state", "hint"), [(STOPPED, "kubelab up"), (SAVED, "set the count back")])
def test_a_lab_does_not_start_without_a_worker_that_is_to_leave(lab: Lab, state: str, hint: str) -> None:
    set_machines(lab, state)
    lab.provider.stray = ["lab-w3"]
    with pytest.raises(
        ConfigError, match=r"workers\.count: lab\.yaml says 2, and the lab has lab-w3 too"
    ) as caught:
        start(lab.ctx, FILE)
    assert caught.value.hint.startswith(hint)
    assert machines(lab) == {state}


def test_up_does_not_wake_a_saved_lab_without_a_worker_that_is_to_leave(lab: Lab) -> None:
    set_machines(lab, SAVED)
    lab.provider.stray = ["lab-w3"]
    with pytest.raises(ConfigError, match="lab-w3") as caught:
        go_on(lab.ctx, FILE)
    assert "kubelab start" in caught.value.hint
    assert machines(lab) == {SAVED}


def test_a_damaged_record_is_an_error_that_says_what_to_do(lab: Lab) -> None:
    set_machines(lab, SAVED)
    lab.ctx.workspace.start_record.write_text("{")
    with pytest.raises(LabError, match="is damaged") as caught:
        start(lab.ctx, FILE)
    assert "remove that file" in caught.value.hint
    assert machines(lab) == {SAVED}


def test_nodes_are_not_started_under_other_names_than_they_joined_by(lab: Lab) -> None:
    lab.provider.hostnames = {"lab-cp1": "m-k8s"}
    stop(lab.ctx)
    before = list(lab.provider.calls)
    with pytest.raises(ConfigDrift, match=r"nodes\.lab-cp1\.name: the lab has m-k8s, lab.yaml says lab-cp1"):
        start(lab.ctx, FILE)
    assert lab.provider.calls == before


def test_a_lab_with_names_of_its_own_is_stopped_and_started(tmp_path: Path) -> None:
    lab = stoppable_lab(tmp_path, nodes={"lab-cp1": {"name": "m-k8s"}})
    lab.provider.hostnames = {"lab-cp1": "m-k8s", "lab-w1": "lab-w1"}
    cluster(lab)
    stop(lab.ctx)
    assert machines(lab) == {STOPPED}
    start(lab.ctx, FILE)
    assert machines(lab) == {RUNNING}
