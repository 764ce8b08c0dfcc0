"""libvirt's snapshots against a stub `virsh` on PATH."""

from __future__ import annotations

from pathlib import Path
from threading import Event
from typing import Any

import pytest

from provision.errors import Cancelled, MachineBusy, MissingTool, SnapshotError, ToolFailed, UnknownAnswer
from provision.providers.base import Held
from provision.providers.libvirt import snapshots
from provision.providers.libvirt.snapshots import LibvirtSnapshots
from tests.fakes.providers.ids import id_of
from tests.fakes.providers.virsh import Host, install

CP1, W1 = id_of("lab-cp1"), id_of("lab-w1")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return install(tmp_path / "bin", monkeypatch)


@pytest.fixture
def backend(host: Host) -> Any:
    yield LibvirtSnapshots(Event())
    assert host.state["unknown"] == []


def test_a_running_lab_is_saved_and_put_back(host: Host, backend: LibvirtSnapshots) -> None:
    ids = [host.domain("lab-cp1"), host.domain("lab-w1")]
    moments = backend.pause(ids)
    assert set(moments) == set(ids)
    assert backend.states(ids) == {CP1: "paused", W1: "paused"}
    for machine in ids:
        backend.save(machine, "a")
        assert backend.states([machine]) == {machine: "paused"}
    backend.resume(ids)
    assert backend.states(ids) == {CP1: "running", W1: "running"}
    assert backend.list(ids) == {CP1: Held(("a",), "a"), W1: Held(("a",), "a")}
    backend.pause(ids)
    for machine in ids:
        backend.revert(machine, "a", live=True)
    assert backend.states(ids) == {CP1: "paused", W1: "paused"}
    # In place: a new QEMU would have to translate everything again.
    assert host.calls("snapshot-revert") == []
    assert backend.list(ids) == {CP1: Held(("a",), "a"), W1: Held(("a",), "a")}


@pytest.mark.parametrize(("state", "unloadable"), [("shutoff", False), ("paused", True)])
def test_a_machine_that_is_off_or_cannot_be_loaded_gets_a_new_qemu(
    host: Host, backend: LibvirtSnapshots, state: str, unloadable: bool
) -> None:
    host.domain("lab-cp1", state, snapshots={"a": "running"}, current="a", unloadable=unloadable)
    backend.revert(CP1, "a", live=True)
    assert backend.states([CP1]) == {CP1: "paused"}
    assert host.calls("snapshot-revert") == [f"snapshot-revert {CP1} a --paused --force"]


@pytest.mark.parametrize("was", [(2048 * 1024, "<vcpu>4</vcpu>"), (1024 * 1024, "<vcpu>2</vcpu>")])
def test_a_machine_that_had_another_size_gets_a_new_qemu_with_it(
    host: Host, backend: LibvirtSnapshots, was: tuple[int, str]
) -> None:
    # QEMU loads two CPUs into four without a word.
    sizes: dict[str, Any] = {"memory": 2048 * 1024, "vcpu": "<vcpu>2</vcpu>", "was": {"a": was}}
    host.domain("lab-cp1", "paused", snapshots={"a": "running"}, current="a", **sizes)
    backend.revert(CP1, "a", live=True)
    assert host.calls("qemu-monitor-command") == []
    assert host.calls("snapshot-revert") == [f"snapshot-revert {CP1} a --paused --force"]


def test_machines_are_paused_once_all_connections_are_open(host: Host, backend: LibvirtSnapshots) -> None:
    backend.pause([host.domain("lab-cp1"), host.domain("lab-w1")])
    words = [call.split()[0] for call in host.state["calls"]]
    assert words == ["dommemstat", "dommemstat", "emulatorpin", "emulatorpin", "suspend", "suspend"]


def test_each_qemu_has_one_cpu_until_its_machine_is_resumed(
    host: Host, backend: LibvirtSnapshots, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "host_cpus", lambda: [4, 7])
    # The largest machine takes longest, so nothing else is to be copied on its CPU.
    ids = [host.domain("w1", rss=2000), host.domain("w2", rss=1900), host.domain("cp1", rss=3000)]
    backend.pause(ids)
    assert [host.state["domains"][name]["emulator"] for name in ("cp1", "w1", "w2")] == ["4", "7", "7"]
    backend.resume(ids)
    assert [host.state["domains"][name]["emulator"] for name in ("cp1", "w1", "w2")] == ["r", "r", "r"]


def test_a_libvirt_that_pins_nothing_saves_all_the_same(host: Host, backend: LibvirtSnapshots) -> None:
    ids = [host.domain("lab-cp1"), host.domain("lab-w1")]
    no = "Requested operation is not valid: cpu affinity is not supported"
    host.write({**host.state, "fail": {"emulatorpin": no, "dommemstat": no}})
    backend.pause(ids)
    backend.save(CP1, "a")
    backend.resume(ids)
    assert backend.states(ids) == {CP1: "running", W1: "running"}


def test_a_stopped_machine_is_saved_and_comes_back_stopped(host: Host, backend: LibvirtSnapshots) -> None:
    host.domain("lab-cp1", "shutoff")
    backend.save(CP1, "a")
    backend.revert(CP1, "a", live=False)
    assert backend.states([CP1]) == {CP1: "stopped"}
    assert host.calls("snapshot-revert") == [f"snapshot-revert {CP1} a --force"]


def test_a_machine_without_snapshots_stands_on_none(host: Host, backend: LibvirtSnapshots) -> None:
    host.domain("lab-cp1")
    assert backend.list([CP1]) == {CP1: Held((), None)}


def test_a_snapshot_is_deleted_and_a_missing_one_is_an_error(host: Host, backend: LibvirtSnapshots) -> None:
    host.domain("lab-cp1", snapshots={"a": "running", "b": "running"}, current="b")
    backend.delete(CP1, "a")
    assert backend.list([CP1]) == {CP1: Held(("b",), "b")}
    with pytest.raises(ToolFailed) as caught:
        backend.delete(CP1, "a")
    assert "no domain snapshot with matching name 'a'" in caught.value.details


def test_machines_about_to_go_forget_their_snapshots(host: Host, backend: LibvirtSnapshots) -> None:
    host.domain("lab-cp1", snapshots={"a": "running", "b": "running"}, current="b")
    backend.forget([CP1, "gone"])
    assert backend.list([CP1]) == {CP1: Held((), None)}
    assert all(call.endswith("--metadata") for call in host.calls("snapshot-delete"))


def test_memory_that_was_kept_is_forgotten_when_the_machine_is_put_back(
    host: Host, backend: LibvirtSnapshots
) -> None:
    # libvirt would start it from there, with the disk of another time.
    host.domain("lab-cp1", "shutoff", saved="paused", snapshots={"a": "shutoff"}, current="a")
    backend.revert(CP1, "a", live=False)
    assert backend.states([CP1]) == {CP1: "stopped"}
    words = [call.split()[0] for call in host.state["calls"]]
    assert words.index("managedsave-remove") < words.index("snapshot-revert")


def test_machines_about_to_go_forget_their_memory(host: Host, backend: LibvirtSnapshots) -> None:
    host.domain("lab-cp1", "shutoff", saved="paused")
    host.domain("lab-w1", "shutoff")
    backend.forget([CP1, W1])
    assert backend.states([CP1, W1]) == {CP1: "stopped", W1: "stopped"}
    assert len(host.calls("managedsave-remove")) == 1


def test_the_same_name_twice_is_an_error(host: Host, backend: LibvirtSnapshots) -> None:
    host.domain("lab-cp1", "paused", snapshots={"a": "running"}, current="a")
    with pytest.raises(ToolFailed) as caught:
        backend.save(CP1, "a")
    assert "already exists" in caught.value.details


def test_one_machine_that_cannot_stop_is_named_with_libvirts_reason(
    host: Host, backend: LibvirtSnapshots
) -> None:
    ids = [host.domain("lab-cp1"), host.domain("lab-w1", "shutoff")]
    with pytest.raises(ToolFailed, match=f"virsh suspend {W1}") as caught:
        backend.pause(ids)
    assert "domain is not running" in caught.value.details
    with pytest.raises(ToolFailed, match="gone"):
        backend.pause(["gone"])


@pytest.mark.parametrize("work", ["resume", "save", "revert", "delete"])
def test_a_machine_at_work_on_something_else_is_busy(
    host: Host, backend: LibvirtSnapshots, work: str
) -> None:
    host.domain("lab-cp1", "paused", snapshots={"a": "running"}, current="a", busy=1)
    with pytest.raises(MachineBusy, match="still at work"):
        {
            "resume": lambda: backend.resume([CP1]),
            "save": lambda: backend.save(CP1, "b"),
            "revert": lambda: backend.revert(CP1, "a", live=True),
            "delete": lambda: backend.delete(CP1, "a"),
        }[work]()


def test_the_room_a_machine_takes(host: Host, backend: LibvirtSnapshots) -> None:
    host.domain("lab-cp1")
    space = backend.space([CP1])[CP1]
    assert (space.folder, space.used) == (host.folder, 8192)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"disk": ["/disk.raw", "raw"]}, "not in the qcow2 format"),
        ({"loader": "pflash"}, "UEFI"),
        ({"folder": "/home/me/lab"}, "folder of the host mounted"),
    ],
)
def test_a_machine_that_cannot_be_saved_is_refused_with_the_reason(
    host: Host, backend: LibvirtSnapshots, more: dict[str, Any], words: str
) -> None:
    backend.can_save([host.domain("lab-cp1")])
    host.domain("lab-w1", **more)
    with pytest.raises(SnapshotError, match=f"lab-w1 .*{words}") as caught:
        backend.can_save([CP1, W1])
    assert caught.value.hint


def test_a_machine_that_is_gone_cannot_be_saved(backend: LibvirtSnapshots) -> None:
    with pytest.raises(SnapshotError, match="no machine gone"):
        backend.can_save(["gone"])


def test_ctrl_c_while_machines_are_asked_ends_every_virsh(host: Host) -> None:
    cancel = Event()
    cancel.set()
    host.domain("lab-cp1")
    with pytest.raises(Cancelled):
        LibvirtSnapshots(cancel).pause([CP1])
    assert host.calls("suspend") == []


def test_without_virsh_the_tool_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingTool, match="virsh"):
        LibvirtSnapshots(Event()).pause([CP1])


def test_a_definition_that_is_no_xml_is_told(host: Host, backend: LibvirtSnapshots) -> None:
    machine = host.domain("lab-cp1")
    (host.folder / "virsh").write_text("#!/bin/sh\nprintf 'hello\\033[2J'\n")
    with pytest.raises(UnknownAnswer, match=f"`virsh dumpxml {machine}` gave an unknown answer") as caught:
        backend.can_save([machine])
    assert "hello\\x1b[2J" in caught.value.details
