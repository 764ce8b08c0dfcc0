from __future__ import annotations

from collections import namedtuple
from pathlib import Path

import pytest

from provision.errors import ConfigError, LabError, MachineBusy, NodesError, ResourceError, ToolFailed
from provision.lab import start_record
from provision.lab.start_record import UNKNOWN
from provision.lifecycle.stop import PATIENCE, stop
from provision.lifecycle.suspend import suspend
from provision.providers.base import PAUSED, RUNNING, SAVED, STOPPED
from tests.fakes.lab import Lab, changed
from tests.fakes.node.credentials import at
from tests.fakes.power import cluster, machines, set_machines, stoppable_lab, verbs
from tests.fakes.providers.ids import id_of
from tests.fakes.snapshots import YEAR

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return stoppable_lab(tmp_path)


def said(lab: Lab, kind: str) -> list[str]:
    return [event["text"] for event in lab.report.of(kind)]


def test_all_power_buttons_are_pressed_and_the_next_command_is_start(lab: Lab) -> None:
    stop(lab.ctx)
    assert machines(lab) == {STOPPED}
    assert verbs(lab) == ["shut_down"]
    assert said(lab, "warn") == []
    result = lab.report.of("result")[-1]["data"]
    assert (result["stopped"], result["switched_off"], result["saved"]) == (
        ["lab-cp1", "lab-w1", "lab-w2"],
        [],
        False,
    )
    assert lab.report.of("next_commands")[-1]["commands"] == ["kubelab start"]


@pytest.mark.parametrize("factor", [1.0, 10.0])
def test_a_machine_that_does_not_heed_is_switched_off_after_a_while_and_told(
    tmp_path: Path, factor: float
) -> None:
    lab = stoppable_lab(tmp_path)
    acceleration = lab.ctx.acceleration.__class__("tcg", factor)
    ctx = changed(lab.ctx, acceleration=acceleration)
    lab.provider.deaf = {id_of("lab-w1")}
    lab.ctx.fake_clock.speed = 10
    stop(ctx)
    assert machines(lab) == {STOPPED}
    assert [call for call in lab.provider.calls if call[0] == "power_off"] == [("power_off", id_of("lab-w1"))]
    assert said(lab, "warn") == [f"lab-w1 did not shut down in {PATIENCE * factor:.0f} s: it is switched off"]
    assert lab.ctx.fake_clock.time >= PATIENCE * factor


def test_a_machine_that_was_just_booting_is_asked_again(lab: Lab) -> None:
    lab.provider.deaf = {id_of("lab-w1")}
    lab.ctx.fake_clock.on_sleep = lambda: lab.provider.deaf.clear() if lab.ctx.fake_clock.time > 5 else None
    stop(lab.ctx)
    assert "power_off" not in verbs(lab)
    assert lab.provider.calls.count(("shut_down", id_of("lab-w1"))) == 2


def test_a_paused_machine_runs_on_first_since_it_cannot_heed(lab: Lab) -> None:
    set_machines(lab, PAUSED, "lab-w1")
    stop(lab.ctx)
    assert verbs(lab) == ["resume", "shut_down"]
    assert machines(lab) == {STOPPED}


@pytest.mark.parametrize("command", [stop, suspend])
@pytest.mark.parametrize(
    ("state", "text"),
    [(STOPPED, "the lab is stopped"), (SAVED, "the lab is saved"), (None, "the lab has no machines")],
)
def test_where_all_are_off_there_is_nothing_to_do(lab: Lab, command: object, state: str, text: str) -> None:
    if state:
        set_machines(lab, state)
    else:
        lab.machines.known.clear()
    assert callable(command)
    command(lab.ctx)
    assert lab.provider.calls == []
    assert said(lab, "info")[-1].startswith(f"nothing to do: {text}")


@pytest.mark.parametrize("command", [stop, suspend])
def test_machines_of_another_folder_are_refused(lab: Lab, command: object) -> None:
    lab.provider.others = {"lab-cp1": "/elsewhere/Vagrantfile"}
    assert callable(command)
    with pytest.raises(ConfigError, match="made from /elsewhere/Vagrantfile"):
        command(lab.ctx)
    assert lab.provider.calls == []


def test_an_interrupted_stop_goes_on(lab: Lab) -> None:
    lab.provider.deaf = {id_of("lab-w1")}

    def interrupt() -> None:
        raise KeyboardInterrupt

    lab.ctx.fake_clock.on_sleep = interrupt
    with pytest.raises(KeyboardInterrupt):
        stop(lab.ctx)
    lab.ctx.fake_clock.on_sleep = lambda: None
    lab.provider.deaf.clear()
    stop(lab.ctx)
    assert machines(lab) == {STOPPED}


def test_a_hypervisor_that_fails_is_told_with_its_node(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(machine: str) -> None:
        raise ToolFailed(["virsh", "shutdown", machine], 1, "error: no way")

    monkeypatch.setattr(lab.provider, "shut_down", fail)
    with pytest.raises(NodesError, match="lab-w1 cannot be shut down: error: no way") as caught:
        stop(lab.ctx)
    assert "kubelab stop" in caught.value.hint


def test_memory_is_kept_of_machines_that_were_all_paused_at_once(lab: Lab) -> None:
    suspend(lab.ctx)
    assert machines(lab) == {SAVED}
    assert verbs(lab) == ["pause", "save_memory"]
    record = start_record.read(lab.ctx.workspace)
    assert record is not None
    assert (record.verified, record.good_until, record.booted) == (True, at(YEAR), ())


def test_an_unhealthy_cluster_is_kept_as_it_is_and_so_noted(lab: Lab) -> None:
    cluster(lab, ready=False)
    suspend(lab.ctx)
    record = start_record.read(lab.ctx.workspace)
    assert record is not None
    assert record.verified is False


def test_nodes_that_are_to_be_looked_at_yet_are_not_believed(lab: Lab) -> None:
    start_record.write(lab.ctx.workspace, UNKNOWN)
    suspend(lab.ctx)
    record = start_record.read(lab.ctx.workspace)
    assert record is not None
    assert record.good_until is None


def test_without_room_nothing_is_paused(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda folder: Usage(1, 1, 1))
    with pytest.raises(ResourceError):
        suspend(lab.ctx)
    assert machines(lab) == {RUNNING}
    assert start_record.read(lab.ctx.workspace) is None


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ToolFailed(["virsh"], 1, "error: no space left")])
def test_after_a_save_that_failed_or_was_interrupted_all_run_on(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    save = lab.provider.save_memory

    def fail(machine: str) -> None:
        if machine == id_of("lab-w1"):
            raise error
        save(machine)

    monkeypatch.setattr(lab.provider, "save_memory", fail)
    with pytest.raises((KeyboardInterrupt, LabError)):
        suspend(lab.ctx)
    assert machines(lab) == {RUNNING}
    assert said(lab, "info")[-1].startswith("all machines run on")
    # The cluster stood still meanwhile, so a start is to look at it.
    assert start_record.read(lab.ctx.workspace) is not None


@pytest.mark.parametrize(("command", "work"), [(stop, "power_off"), (suspend, "save_memory")])
def test_a_hypervisor_that_does_nothing_and_says_all_is_well_is_not_believed(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, command: object, work: str
) -> None:
    lab.provider.deaf = set(lab.machines.known.values())
    lab.ctx.fake_clock.speed = 10
    monkeypatch.setattr(lab.provider, work, lambda machine: None)
    assert callable(command)
    with pytest.raises(LabError, match="reported no error, but lab-cp1, lab-w1, lab-w2 is not off"):
        command(lab.ctx)
    assert machines(lab) == {RUNNING}


def test_a_save_that_cannot_be_undone_is_told_as_it_is(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise ToolFailed(["virsh"], 1, "error: no libvirt")

    monkeypatch.setattr(lab.provider, "save_memory", fail)
    monkeypatch.setattr(lab.backend, "resume", fail)
    with pytest.raises(LabError, match="cannot be saved: error: no libvirt"):
        suspend(lab.ctx)
    assert said(lab, "warn") == [
        "machines may stand still: error: no libvirt; kubelab start lets them run on"
    ]


def test_a_killed_save_goes_on_at_the_same_point_in_time(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    start_record.write(lab.ctx.workspace, UNKNOWN)
    set_machines(lab, SAVED, "lab-cp1")
    set_machines(lab, PAUSED, "lab-w1", "lab-w2")
    # What is paused cannot be asked anything.
    monkeypatch.setattr("provision.lifecycle.suspend.prepare", None)
    suspend(lab.ctx)
    assert machines(lab) == {SAVED}
    assert verbs(lab) == ["save_memory"]
    assert start_record.read(lab.ctx.workspace) == UNKNOWN


def test_of_a_stop_after_an_interrupted_save_what_is_saved_stays_so(lab: Lab) -> None:
    start_record.write(lab.ctx.workspace, UNKNOWN)
    set_machines(lab, SAVED, "lab-cp1")
    set_machines(lab, PAUSED, "lab-w1", "lab-w2")
    stop(lab.ctx)
    assert machines(lab) == {SAVED, STOPPED}
    assert start_record.read(lab.ctx.workspace) == UNKNOWN


def test_a_busy_machine_is_told_as_busy(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(machine: str) -> None:
        raise MachineBusy("libvirt is still at work")

    monkeypatch.setattr(lab.provider, "save_memory", busy)
    with pytest.raises(MachineBusy):
        suspend(lab.ctx)
