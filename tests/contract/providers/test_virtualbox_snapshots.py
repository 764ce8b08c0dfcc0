"""VirtualBox's snapshots against a stand-in for VBoxManage on PATH."""

from __future__ import annotations

import marshal
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from provision.errors import MachineBusy, MissingTool, SnapshotError, ToolFailed, WaitTimeout
from provision.providers.base import Held
from provision.providers.virtualbox.snapshots import VirtualBoxSnapshots
from tests.fakes import stubs
from tests.fakes.engine import FakeClock

CP1, W1 = (f"{letter}0000000-1111-4222-8333-444444444444" for letter in "ab")


@dataclass(frozen=True)
class Stub:
    """What the stand-in has, and what it was asked."""

    file: Path

    def read(self) -> dict[str, Any]:
        return marshal.loads(self.file.read_bytes())  # type: ignore[no-any-return]

    def machines(self, *machines: dict[str, Any]) -> None:
        self.file.write_bytes(marshal.dumps({**self.read(), "machines": list(machines)}, 2))

    def calls(self, verb: str) -> list[str]:
        return [call for call in self.read()["calls"] if call.startswith(verb)]


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stub:
    program = tmp_path / "bin" / "VBoxManage"
    program.parent.mkdir()
    stubs.install("vboxmanage", program)
    state = tmp_path / "state"
    empty = {"machines": [], "links": [], "notes": {}, "calls": [], "allowed": "192.168.56.0/21"}
    state.write_bytes(marshal.dumps(empty, 2))
    monkeypatch.setenv("PATH", str(program.parent))
    monkeypatch.setenv("VBOX_STATE", str(state))
    return Stub(state)


@pytest.fixture
def backend() -> VirtualBoxSnapshots:
    return VirtualBoxSnapshots(Event(), FakeClock())


def machine(id: str, state: str = "running", **more: Any) -> dict[str, Any]:
    return {"name": f"lab-{id[0]}", "id": id, "state": state, **more}


def taken(*names: str, memory: str | None = "paused") -> dict[str, Any]:
    """Return snapshots in a row, each on top of the one before."""
    parents = [None, *names]
    known = {name: {"parent": parents[index], "memory": memory} for index, name in enumerate(names)}
    return {"snapshots": known, "current": names[-1]}


def test_a_running_lab_is_saved_and_put_back(stub: Stub, backend: VirtualBoxSnapshots) -> None:
    ids = [CP1, W1]
    stub.machines(*map(machine, ids))
    assert set(backend.pause(ids)) == set(ids)
    assert backend.states(ids) == {CP1: "paused", W1: "paused"}
    for each in ids:
        backend.save(each, "a")
    assert backend.states(ids) == {CP1: "paused", W1: "paused"}
    backend.resume(ids)
    assert backend.states(ids) == {CP1: "running", W1: "running"}
    assert backend.list(ids) == {CP1: Held(("a",), "a"), W1: Held(("a",), "a")}
    for each in ids:
        backend.revert(each, "a", live=True)
    assert [each["state"] for each in stub.read()["machines"]] == ["saved", "saved"]
    backend.resume(ids)
    assert backend.states(ids) == {CP1: "running", W1: "running"}


def test_every_machine_is_named_by_its_id(stub: Stub, backend: VirtualBoxSnapshots) -> None:
    stub.machines(machine(CP1))
    backend.pause([CP1])
    backend.save(CP1, "a")
    backend.revert(CP1, "a", live=True)
    backend.resume([CP1])
    backend.delete(CP1, "a")
    assert all(CP1 in call for call in stub.read()["calls"])


def test_a_machine_is_powered_off_before_it_goes_back(stub: Stub, backend: VirtualBoxSnapshots) -> None:
    stub.machines(machine(CP1, **taken("a")), machine(W1, "poweroff", **taken("a")))
    backend.revert(CP1, "a", live=True)
    backend.revert(W1, "a", live=True)
    assert stub.calls("controlvm") == [f"controlvm {CP1} poweroff"]
    assert len(stub.calls("snapshot")) == 2


def test_a_machine_that_is_locked_for_a_moment_is_waited_for(
    stub: Stub, backend: VirtualBoxSnapshots
) -> None:
    stub.machines(machine(CP1, slow=2, **taken("a")))
    backend.revert(CP1, "a", live=True)
    assert backend.clock.now() == 1.0
    stub.machines(machine(CP1, slow=1000, **taken("a")))
    with pytest.raises(WaitTimeout, match="already locked"):
        backend.revert(CP1, "a", live=True)


def test_a_stopped_machine_is_saved_and_comes_back_stopped(stub: Stub, backend: VirtualBoxSnapshots) -> None:
    stub.machines(machine(CP1, "poweroff"))
    backend.save(CP1, "a")
    backend.revert(CP1, "a", live=False)
    assert backend.states([CP1]) == {CP1: "stopped"}
    assert stub.calls("startvm") == []


def test_snapshots_of_a_tree_and_none(stub: Stub, backend: VirtualBoxSnapshots) -> None:
    stub.machines(machine(CP1, **taken("a", "b", "c")), machine(W1))
    assert backend.list([CP1, W1]) == {CP1: Held(("a", "b", "c"), "c"), W1: Held(())}


def test_a_snapshot_with_one_child_is_deleted_and_one_with_several_refused(
    stub: Stub, backend: VirtualBoxSnapshots
) -> None:
    known = {
        name: {"parent": parent, "memory": None} for name, parent in (("a", None), ("b", "a"), ("c", "a"))
    }
    stub.machines(machine(CP1, snapshots=known, current="c"))
    with pytest.raises(ToolFailed) as caught:
        backend.delete(CP1, "a")
    assert "2 child snapshots" in caught.value.details
    backend.delete(CP1, "c")
    backend.delete(CP1, "a")
    assert backend.list([CP1])[CP1].names == ("b",)


def test_errors_are_errors(stub: Stub, backend: VirtualBoxSnapshots) -> None:
    stub.machines(machine(CP1, "poweroff"))
    with pytest.raises(ToolFailed, match="pause"):
        backend.pause([CP1])
    with pytest.raises(ToolFailed) as caught:
        backend.revert(CP1, "nope", live=True)
    assert "Could not find a snapshot named 'nope'" in caught.value.details
    with pytest.raises(ToolFailed, match="list"):
        backend.list(["gone"])


def test_a_machine_that_is_locked_is_busy(stub: Stub, backend: VirtualBoxSnapshots) -> None:
    stub.machines(machine(CP1, "running", **taken("a")))
    with pytest.raises(MachineBusy, match="still at work"):
        backend.resume([CP1])


def test_a_machine_that_is_gone_cannot_be_saved(stub: Stub, backend: VirtualBoxSnapshots) -> None:
    stub.machines(machine(CP1))
    backend.can_save([CP1])
    with pytest.raises(SnapshotError, match="no machine gone"):
        backend.can_save([CP1, "gone"])


def test_the_room_a_machine_takes_is_that_of_its_folder(
    stub: Stub, backend: VirtualBoxSnapshots, tmp_path: Path
) -> None:
    folder = tmp_path / "lab-c"
    (folder / "Snapshots").mkdir(parents=True)
    (folder / "disk.vdi").write_bytes(b"x" * 1000)
    (folder / "Snapshots" / "memory.sav").write_bytes(b"x" * 234)
    stub.machines(machine(CP1, folder=str(folder)))
    space = backend.space([CP1])[CP1]
    assert (space.folder, space.used) == (folder, 1234)


def test_machines_about_to_go_are_left_alone(stub: Stub, backend: VirtualBoxSnapshots) -> None:
    backend.forget([CP1])
    assert stub.read()["calls"] == []


def test_without_virtualbox_it_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, backend: VirtualBoxSnapshots
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingTool, match="VirtualBox"):
        backend.save(CP1, "a")
