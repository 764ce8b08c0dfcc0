"""Whatever fails, and whenever: every machine runs, no snapshot is half, and the manifests are true."""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provision.errors import LabError, MachineBusy, SnapshotError, ToolFailed
from provision.lab.context import Context
from provision.providers.base import PAUSED
from provision.report.base import RecordingReporter
from provision.snapshots import actions
from provision.snapshots import journal as snapshot_journal
from provision.snapshots.recovery import recover
from provision.workspace import Workspace
from tests.fakes.host import listening_to_ctrl_c
from tests.fakes.lab import Lab
from tests.fakes.providers.ids import id_of
from tests.fakes.providers.snapshots import FakeVm
from tests.fakes.snapshots import Fault, Killed, calls_of, disks, next_command, running_lab, set_disks, whole

Action = Callable[[Lab], object]
FAULTS: dict[str, Callable[[], BaseException]] = {
    "error": lambda: ToolFailed(["virsh"], 1, "no"),
    "bug": lambda: ValueError("a bug"),
    "Ctrl-C": KeyboardInterrupt,
    "kill -9": Killed,
}


def save(lab: Lab) -> None:
    actions.save(lab.ctx, "new")


def restore(lab: Lab) -> None:
    actions.restore(lab.ctx, "old")


def delete(lab: Lab) -> None:
    actions.delete(lab.ctx, "old")


ACTIONS: dict[str, Action] = {"save": save, "restore": restore, "delete": delete}


@pytest.fixture(autouse=True)
def repairs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let repair do nothing; return the labs it was asked for."""
    done: list[str] = []

    def note(ctx: Context, moment: float, good_until: object) -> None:
        done.append(ctx.config.name)

    monkeypatch.setattr("provision.snapshots.repairing.repair", note)
    return done


def prepared(root: Path) -> Lab:
    """Return a lab with the snapshot `old`, on which something happened since."""
    lab = running_lab(root)
    set_disks(lab, "then")
    actions.save(lab.ctx, "old")
    set_disks(lab, "now")
    return lab


def attempt(lab: Lab, action: Action) -> BaseException | None:
    try:
        action(lab)
    except (Exception, KeyboardInterrupt, Killed) as error:
        return error
    return None


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", ACTIONS)
def test_a_fault_at_any_call(tmp_path: Path, name: str, fault: str, late: bool, repairs: list[str]) -> None:
    action = ACTIONS[name]
    calls = calls_of(prepared(tmp_path / "well"), action)
    assert calls > 6
    for number in range(calls):
        lab = prepared(tmp_path / f"{number}")
        repairs.clear()
        Fault(number, FAULTS[fault](), late=late).plant(lab)
        raised = attempt(lab, action)
        after = next_command(lab)
        recover(after.ctx)
        known = whole(after)
        where = f"{name}: {fault} at call {number}, {lab.backend.calls}"
        # All machines are at one point in time, whichever it is.
        assert len(disks(lab)) == 1, where
        if raised is None:
            assert (name, late, fault) != ("save", False, "error"), where
        if name == "save":
            assert set(known) in ({"old"}, {"old", "new"}), where
            assert fault == "kill -9" or ("new" in known) == (raised is None), where
        elif name == "restore":
            assert set(known) == {"old"}, where
            # A cluster whose machines were put back is repaired, by this command or the next one.
            assert repairs == (["lab"] if disks(lab) == {"then"} else []), where
        # What was asked for can be had now.
        if name != "delete" or known:
            assert attempt(after, ACTIONS["restore"]) is None, where


@pytest.mark.parametrize("name", ACTIONS)
def test_a_kill_and_then_another_during_recovery(tmp_path: Path, name: str) -> None:
    action = ACTIONS[name]
    calls = calls_of(prepared(tmp_path / "well"), action)
    for number in range(0, calls, 2):
        for second in range(8):
            lab = prepared(tmp_path / f"{number}-{second}")
            Fault(number, Killed(), late=True).plant(lab)
            attempt(lab, action)
            again = next_command(lab)
            Fault(second, Killed(), late=True).plant(again)
            attempt(again, lambda lab: recover(lab.ctx))
            last = next_command(again)
            recover(last.ctx)
            whole(last)
            assert len(disks(lab)) == 1


def killed_in(lab: Lab, call: str) -> None:
    """Save `new`, and be killed right after `call`."""

    def kill(asked: str) -> None:
        if asked == call:
            raise Killed

    lab.backend.after = kill
    assert isinstance(attempt(lab, save), Killed)


def always(lab: Lab, call: str) -> None:
    def refuse(asked: str) -> None:
        if asked == call:
            raise ToolFailed(["virsh"], 1, f"never: {call}")

    lab.backend.before = refuse


def test_a_half_snapshot_that_cannot_be_deleted_is_told_and_tried_again(tmp_path: Path) -> None:
    lab = prepared(tmp_path)

    def refuse(asked: str) -> None:
        if asked in (f"save {id_of('lab-w2')}", f"delete {id_of('lab-w1')}"):
            raise ToolFailed(["virsh"], 1, "the disk is broken")

    lab.backend.before = refuse
    with pytest.raises(ToolFailed):
        save(lab)
    assert {vm.state for vm in lab.backend.vms.values()} == {"running"}
    assert "tries again" in lab.report.of("warn")[-1]["text"]
    recover(lab.ctx)
    assert "kubelab snapshot list" in lab.report.of("warn")[-1]["text"]
    after = next_command(lab)
    recover(after.ctx)
    assert set(whole(after)) == {"old"}


def test_machines_at_different_points_are_told_and_another_restore_is_the_way_out(tmp_path: Path) -> None:
    lab = prepared(tmp_path)
    actions.save(lab.ctx, "newer")
    always(lab, f"revert {id_of('lab-w1')}")
    with pytest.raises(ToolFailed, match="virsh"):
        restore(lab)
    assert {vm.state for vm in lab.backend.vms.values()} == {"running"}
    with pytest.raises(SnapshotError, match="different points in time") as caught:
        recover(lab.ctx)
    assert "kubelab snapshot restore" in caught.value.hint
    after = next_command(lab)
    recover(after.ctx, restoring="a")
    actions.restore(after.ctx, "newer")
    whole(after)
    assert disks(lab) == {"now"}


def test_before_a_snapshot_that_is_not_there_an_interrupted_restore_is_completed(tmp_path: Path) -> None:
    # Else the machines would run on, each from another point in time, and nobody would say so.
    lab = prepared(tmp_path)
    always(lab, f"revert {id_of('lab-w1')}")
    with pytest.raises(ToolFailed, match="virsh"):
        restore(lab)
    after = next_command(lab)
    recover(after.ctx, restoring="typo")
    assert disks(lab) == {"then"}
    whole(after)


def test_a_busy_machine_is_waited_for(tmp_path: Path) -> None:
    lab = prepared(tmp_path)
    killed_in(lab, f"save {id_of('lab-w1')}")
    busy = [MachineBusy("still at work")] * 5

    def refuse(asked: str) -> None:
        if asked.startswith("resume") and busy:
            raise busy.pop()

    after = next_command(lab)
    lab.backend.before = refuse
    recover(after.ctx)
    assert after.ctx.clock.now() == 2.5
    whole(after)


def test_a_repair_that_fails_ends_the_restore(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(ctx: object, moment: float, good_until: object) -> None:
        raise LabError("the clock stands still")

    lab = prepared(tmp_path)
    monkeypatch.setattr("provision.snapshots.repairing.repair", fail)
    with pytest.raises(LabError, match="the clock"):
        restore(lab)
    assert set(whole(lab)) == {"old"}
    assert disks(lab) == {"then"}


def test_ctrl_c_while_repairing_leaves_the_repair_to_the_next_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repairs: list[str]
) -> None:
    def interrupt(ctx: object, moment: float, good_until: object) -> None:
        raise KeyboardInterrupt

    lab = prepared(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("provision.snapshots.repairing.repair", interrupt)
        with pytest.raises(KeyboardInterrupt):
            restore(lab)
    journal = snapshot_journal.read(lab.ctx.workspace)
    assert journal is not None
    assert journal.phase == "repairing"
    recover(lab.ctx)
    assert repairs == ["lab"]
    whole(lab)


def test_a_journal_that_names_anothers_machine_does_nothing_to_it(tmp_path: Path) -> None:
    lab = prepared(tmp_path)
    lab.backend.vms[id_of("alices")] = FakeVm("paused", held={"new": ("hers", True)})
    killed_in(lab, f"save {id_of('lab-w1')}")
    journal = snapshot_journal.read(lab.ctx.workspace)
    assert journal is not None
    ids = {**journal.ids, "lab-w2": id_of("alices")}
    snapshot_journal.write(lab.ctx.workspace, journal.model_copy(update={"ids": ids}))
    after = next_command(lab)
    recover(after.ctx)
    assert snapshot_journal.read(lab.ctx.workspace) is None
    hers = lab.backend.vms[id_of("alices")]
    assert (hers.state, set(hers.held)) == ("paused", {"new"})


def test_machines_that_are_gone_are_nothing_to_recover(tmp_path: Path) -> None:
    lab = prepared(tmp_path)
    killed_in(lab, f"save {id_of('lab-w1')}")
    assert snapshot_journal.read(lab.ctx.workspace) is not None
    after = next_command(lab)
    del lab.backend.vms[id_of("lab-w1")]
    recover(after.ctx)
    assert snapshot_journal.read(lab.ctx.workspace) is None
    assert all("new" not in vm.held for vm in lab.backend.vms.values())


def test_a_machine_that_went_off_meanwhile_is_left_to_up(tmp_path: Path) -> None:
    lab = prepared(tmp_path)
    killed_in(lab, f"save {id_of('lab-w1')}")
    for vm in lab.backend.vms.values():
        vm.state = "stopped"
    after = next_command(lab)
    recover(after.ctx)
    assert {vm.state for vm in lab.backend.vms.values()} == {"stopped"}
    assert snapshot_journal.read(lab.ctx.workspace) is None


class Watchful(RecordingReporter):
    """Notes what is told while machines stand paused; a screen that stands still would keep them so."""

    def __init__(self, lab: Lab) -> None:
        super().__init__()
        self.lab = lab
        self.told_too_early: list[str] = []

    def event(self, name: str, fields: dict[str, Any]) -> None:
        super().event(name, fields)
        if PAUSED in {vm.state for vm in self.lab.backend.vms.values()}:
            self.told_too_early.append(f"{name} {fields}")


@pytest.mark.parametrize("fault", ["error", "Ctrl-C"])
@pytest.mark.parametrize("name", ["save", "restore"])
def test_nothing_is_told_while_machines_stand_paused(tmp_path: Path, name: str, fault: str) -> None:
    calls = calls_of(prepared(tmp_path / "well"), ACTIONS[name])
    for number in range(calls + 1):
        lab = prepared(tmp_path / f"{number}")
        watchful = Watchful(lab)
        lab = dataclasses.replace(lab, ctx=dataclasses.replace(lab.ctx, report=watchful))
        Fault(number, FAULTS[fault](), late=True).plant(lab)
        attempt(lab, ACTIONS[name])
        assert watchful.told_too_early == [], f"{fault} at call {number}, {lab.backend.calls}"


def test_ctrl_c_again_does_not_keep_machines_paused(tmp_path: Path) -> None:
    lab = prepared(tmp_path)
    times = 0

    def interrupt(call: str) -> None:
        nonlocal times
        if call.startswith("save"):
            raise KeyboardInterrupt
        if call.startswith("resume"):
            times += 1
            signal.raise_signal(signal.SIGINT)

    lab.backend.before = interrupt
    with listening_to_ctrl_c(), pytest.raises(KeyboardInterrupt):
        save(lab)
    assert times == 3
    assert {vm.state for vm in lab.backend.vms.values()} == {"running"}


def full(path: Path, content: object, **_: object) -> bool:
    raise OSError(28, "No space left on device", str(path))


@pytest.mark.parametrize("phase", ["reverting", "repairing"])
def test_a_full_disk_keeps_no_machine_paused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phase: str
) -> None:
    lab = prepared(tmp_path)
    write = snapshot_journal.write

    def fill(workspace: Workspace, journal: snapshot_journal.Journal) -> None:
        if journal.phase == phase:
            full(workspace.journal, "")
        write(workspace, journal)

    with monkeypatch.context() as patch:
        patch.setattr(snapshot_journal, "write", fill)
        with pytest.raises(OSError, match="No space left"):
            restore(lab)
    assert {vm.state for vm in lab.backend.vms.values()} == {"running"}
    after = next_command(lab)
    recover(after.ctx)
    assert len(disks(after)) == 1


def test_a_manifest_that_cannot_be_written_leaves_no_half_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = prepared(tmp_path)
    monkeypatch.setattr("provision.snapshots.manifests.write_atomic", full)
    with pytest.raises(OSError, match="No space left"):
        save(lab)
    assert set(whole(lab)) == {"old"}
