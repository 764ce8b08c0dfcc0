"""The libvirt provider against a stub `virsh` on PATH."""

from __future__ import annotations

import contextlib
import marshal
import os
import xml.etree.ElementTree as ET
from collections.abc import Callable
from ipaddress import IPv4Network
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from provision.box.reference import BoxReference
from provision.config.inventory import bridge_name, inventory_of
from provision.config.schema import ClusterConfig
from provision.errors import (
    Cancelled,
    ConfigDrift,
    ConfigError,
    LabError,
    MachineBusy,
    MissingTool,
    ToolFailed,
    UnknownAnswer,
)
from provision.host.locks import host_lock, try_lock
from provision.providers.base import BOXES_LOCK, RUNNING, STOPPED, LabMachine, Made, Size
from provision.providers.libvirt.provider import Libvirt
from provision.providers.libvirt.resize import resized
from provision.providers.vagrantfile import network_xml
from provision.report.base import RecordingReporter
from tests.fakes import stubs
from tests.fakes.config import make_config

BOX = BoxReference("kubelab-1.36.3-abc-with-0123abcd", "1.0.0", "file:///cache/box.json", 12)
IMAGE = f"{BOX.name}_vagrant_box_image_1.0.0_box.img"
CONFIG = make_config(workers={"count": 1})
PROVIDER = Libvirt(RecordingReporter(), Event())
POOL_FOLDER = "/var/lib/libvirt/images"


class Host:
    """What the stub's libvirt has."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write(
            networks={"default": {"xml": "<network><name>default</name></network>", "active": True}},
            domains={},
            volumes={},
            pools=["default"],
            fail={},
            calls=[],
            unknown=[],
        )

    def write(self, **state: Any) -> None:
        (self.folder / "state").write_bytes(marshal.dumps(state, 2))

    def change(self, **state: Any) -> None:
        self.write(**{**self.state, **state})

    def domain(self, name: str, state: str = "running", network: str = "kubelab-lab", **more: Any) -> str:
        """Define a domain and return its id."""
        domain = {"uuid": f"id-of-{name}", "state": state, "network": network, **more}
        self.change(domains={**self.state["domains"], name: domain})
        return f"id-of-{name}"

    def machine(self, name: str, disk: str = "", **more: Any) -> LabMachine:
        """Define a domain of the lab with a disk of the pool, as Vagrant does, and return it."""
        file = disk or f"{name}.img"
        self.volumes(**{file: {"size": 1, "backing": IMAGE}})
        return LabMachine(name, self.domain(name, disk=[f"{POOL_FOLDER}/{file}", "qcow2"], **more))

    def volumes(self, **volumes: Any) -> None:
        self.change(volumes={**self.state["volumes"], **volumes})

    @property
    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = marshal.loads((self.folder / "state").read_bytes())
        return state

    def names(self, kind: str) -> set[str]:
        return set(self.state[kind])

    def calls(self, command: str) -> list[str]:
        return [call for call in self.state["calls"] if call.split()[0] == command]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    folder = tmp_path / "bin"
    folder.mkdir()
    stubs.install("virsh", folder / "virsh")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    # libvirt answers in the user's language, and is understood all the same.
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    return Host(folder)


@pytest.fixture(autouse=True)
def understood(host: Host) -> Any:
    yield
    assert host.state["unknown"] == []


def make_network(config: ClusterConfig = CONFIG) -> None:
    PROVIDER.make_network(config, inventory_of(config))


def network_ready(config: ClusterConfig = CONFIG) -> bool:
    return PROVIDER.network_ready(config, inventory_of(config))


def test_states_of_the_machines_that_exist(host: Host) -> None:
    ids = [
        host.domain("lab-cp1"),
        host.domain("lab-w1", "paused"),
        host.domain("lab-w2", "shutoff"),
        host.domain("lab-w3", "crashed"),
        host.domain("lab-w4", "shutoff", saved="running"),
    ]
    host.domain("other")
    assert PROVIDER.states([*ids, "gone"]) == {
        "id-of-lab-cp1": "running",
        "id-of-lab-w1": "paused",
        "id-of-lab-w2": "stopped",
        "id-of-lab-w3": "stopped",
        "id-of-lab-w4": "saved",
    }
    PROVIDER.resume([ids[1]])
    assert PROVIDER.states([ids[1]]) == {ids[1]: "running"}


def test_a_machine_goes_off_by_its_power_button_and_is_started_again(host: Host) -> None:
    machine = host.domain("lab-cp1", heeds=2)
    PROVIDER.shut_down(machine)
    assert PROVIDER.states([machine]) == {machine: "running"}
    PROVIDER.shut_down(machine)
    assert PROVIDER.states([machine]) == {machine: "stopped"}
    # It may go off between the question whether it runs and the press of its button.
    PROVIDER.shut_down(machine)
    PROVIDER.power_off(machine)
    PROVIDER.start(machine)
    assert PROVIDER.states([machine]) == {machine: "running"}
    PROVIDER.power_off(machine)
    assert PROVIDER.states([machine]) == {machine: "stopped"}


@pytest.mark.parametrize("state", ["running", "paused"])
def test_a_machine_whose_memory_is_kept_comes_back_standing_still(host: Host, state: str) -> None:
    # libvirt-guests, which saves machines as the host goes down, saves them as they run.
    machine = host.domain("lab-cp1", state)
    PROVIDER.save_memory(machine)
    assert PROVIDER.states([machine]) == {machine: "saved"}
    PROVIDER.start(machine)
    assert PROVIDER.states([machine]) == {machine: "paused"}


@pytest.mark.parametrize("work", ["start", "save_memory"])
def test_a_machine_that_a_killed_command_left_at_work_is_busy(host: Host, work: str) -> None:
    machine = host.domain("lab-cp1", "shutoff" if work == "start" else "paused", busy=1)
    with pytest.raises(MachineBusy, match="still at work"):
        getattr(PROVIDER, work)(machine)
    getattr(PROVIDER, work)(machine)


@pytest.mark.parametrize("work", ["start", "shut_down", "power_off", "save_memory"])
def test_a_machine_that_libvirt_does_not_obey_is_an_error(host: Host, work: str) -> None:
    machine = host.domain("lab-cp1", "shutoff" if work == "start" else "running")
    command = {
        "start": "start",
        "shut_down": "shutdown",
        "power_off": "destroy",
        "save_memory": "managedsave",
    }
    host.change(fail={command[work]: "internal error: no room"})
    with pytest.raises(ToolFailed) as caught:
        getattr(PROVIDER, work)(machine)
    assert "no room" in caught.value.details


def test_a_machine_gets_another_size_and_keeps_the_rest(host: Host) -> None:
    machine = host.domain("lab-w1", "shutoff", memory=2048 * 1024, vcpu="<vcpu current='1'>2</vcpu>")
    PROVIDER.resize(machine, cpus=3, memory=4096)
    assert PROVIDER.made(CONFIG, {"lab-w1": machine}).machines == {"lab-w1": Size(3, 4096, None)}
    assert host.calls("dumpxml")[0] == f"dumpxml {machine} --inactive"
    with pytest.raises(LabError, match="no machine gone"):
        PROVIDER.resize("gone", cpus=3, memory=4096)


def test_a_definition_is_changed_in_its_size_alone() -> None:
    text = (
        "<domain xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0' type='qemu'><name>lab-w1</name>"
        "<memory unit='KiB'>{kib}</memory><currentMemory unit='KiB'>{kib}</currentMemory>"
        "<vcpu placement='static'>{cpus}</vcpu>"
        "<cpu mode='custom'><topology sockets='1' dies='1' cores='{cpus}' threads='1'/></cpu>"
        "<qemu:commandline><qemu:arg value='-x'/></qemu:commandline></domain>"
    )
    root = ET.fromstring(text.format(kib=2048 * 1024, cpus=2))
    found = resized(root, cpus=4, memory=3072)
    assert ET.canonicalize(found) == ET.canonicalize(text.format(kib=3072 * 1024, cpus=4))


def test_a_network_is_made_once(host: Host) -> None:
    assert not network_ready()
    make_network()
    assert network_ready()
    make_network()
    assert len(host.calls("net-define")) == len(host.calls("net-start")) == 1
    assert host.calls("net-update") == []


def test_a_network_that_is_not_there_yet_is_not_refused(host: Host) -> None:
    PROVIDER.refuse_network(CONFIG, inventory_of(CONFIG))
    assert not network_ready()


def test_a_stopped_network_is_started_not_made_anew(host: Host) -> None:
    make_network()
    networks = host.state["networks"]
    networks["kubelab-lab"]["active"] = False
    host.change(networks=networks)
    assert not network_ready()
    make_network()
    assert network_ready()
    assert len(host.calls("net-define")) == 1


@pytest.mark.parametrize(("active", "workers"), [(True, 0), (False, 3)])
def test_nodes_that_come_and_go_change_a_network_in_place(host: Host, active: bool, workers: int) -> None:
    make_network()
    networks = host.state["networks"]
    networks["kubelab-lab"]["active"] = active
    host.change(networks=networks)
    other = make_config(workers={"count": workers})
    assert not network_ready(other)
    make_network(other)
    assert network_ready(other)
    assert len(host.calls("net-define")) == 1


@pytest.mark.parametrize("nodes", ["192.168.61.0/24", "192.168.60.0/23"])
def test_a_network_of_another_range_is_refused_untouched(host: Host, nodes: str) -> None:
    make_network()
    before = host.state["networks"]
    other = make_config(workers={"count": 1}, network={"nodes": nodes})
    assert not network_ready(other)
    with pytest.raises(ConfigDrift) as caught:
        make_network(other)
    assert caught.value.key == "network.nodes"
    assert "kubelab destroy" in caught.value.hint
    with pytest.raises(ConfigDrift):
        PROVIDER.refuse_network(other, inventory_of(other))
    PROVIDER.refuse_network(CONFIG, inventory_of(CONFIG))
    assert host.state["networks"] == before


def test_a_network_of_another_mtu_is_refused_untouched(host: Host) -> None:
    make_network()
    before = host.state["networks"]
    other = make_config(workers={"count": 1}, network={"mtu": 1400})
    assert not network_ready(other)
    with pytest.raises(ConfigDrift) as caught:
        make_network(other)
    assert caught.value.key == "network.mtu"
    assert host.state["networks"] == before


def test_a_box_is_uploaded_once(host: Host, tmp_path: Path) -> None:
    (tmp_path / "box.img").write_text("a disk")
    assert not PROVIDER.has_box(BOX, tmp_path)
    PROVIDER.upload_box(BOX, tmp_path)
    assert PROVIDER.has_box(BOX, tmp_path)
    PROVIDER.upload_box(BOX, tmp_path)
    assert len(host.calls("vol-upload")) == 1
    volume = host.state["volumes"][IMAGE]
    assert (volume["size"], volume["capacity"], volume["format"]) == (6, "12GiB", ("--format", "qcow2"))


def test_half_an_upload_is_removed(host: Host, tmp_path: Path) -> None:
    host.change(fail={"vol-upload": "cannot write: No space left on device"})
    with pytest.raises(ToolFailed) as caught:
        PROVIDER.upload_box(BOX, tmp_path)
    assert "No space left" in caught.value.details
    assert not PROVIDER.has_box(BOX, tmp_path)


def test_a_whole_image_of_another_size_is_used_as_long_as_machines_are_clones_of_it(
    host: Host, tmp_path: Path
) -> None:
    (tmp_path / "box.img").write_text("a disk that another user built")
    host.volumes(**{IMAGE: {"size": 7}, "other-cp1.img": {"size": 1, "backing": IMAGE}})
    PROVIDER.upload_box(BOX, tmp_path)
    assert PROVIDER.has_box(BOX, tmp_path)
    assert (host.calls("vol-delete"), host.calls("vol-upload")) == ([], [])


def test_an_upload_waits_for_another_one_of_the_same_box(host: Host, tmp_path: Path) -> None:
    (tmp_path / "box.img").write_text("a disk")
    # What another command uploads, half of it.
    host.volumes(**{IMAGE: {"size": 3}})
    report, cancel = RecordingReporter(), Event()
    with try_lock(host_lock(IMAGE)):
        waiting = Thread(target=suppressed, args=(Libvirt(report, cancel).upload_box, BOX, tmp_path))
        waiting.start()
        while not report.of("info"):
            assert waiting.is_alive()
        cancel.set()
        waiting.join()
    assert "uploads the same box" in report.of("info")[0]["text"]
    assert host.calls("vol-delete") == []
    PROVIDER.upload_box(BOX, tmp_path)
    assert len(host.calls("vol-upload")) == 1


def suppressed(work: Callable[..., object], *arguments: object) -> None:
    with contextlib.suppress(Cancelled):
        work(*arguments)


def test_an_upload_that_failed_is_told_even_if_nothing_can_be_removed(host: Host, tmp_path: Path) -> None:
    host.change(fail={"vol-upload": "No space left on device", "vol-delete": "the disk is gone"})
    with pytest.raises(ToolFailed) as caught:
        PROVIDER.upload_box(BOX, tmp_path)
    assert "No space left" in caught.value.details


def test_the_machines_of_a_lab_have_its_name_and_its_network(host: Host) -> None:
    host.domain("lab-cp1", source="/lab/Vagrantfile")
    host.domain("lab-w7", "shutoff")
    host.domain("lab-w2", network="default")
    host.domain("lab-w1-copy")
    host.domain("other-w1", network="kubelab-other")
    assert PROVIDER.lab_machines(CONFIG) == [
        LabMachine("lab-cp1", "id-of-lab-cp1", Path("/lab/Vagrantfile")),
        LabMachine("lab-w7", "id-of-lab-w7", None),
    ]


def test_the_machines_of_all_labs_have_the_name_and_the_network_of_one(host: Host) -> None:
    host.domain("lab-cp1", network="kubelab-lab", source="/lab/Vagrantfile")
    host.domain("my-lab-w12", "shutoff", network="kubelab-my-lab")
    host.domain("lab-w2", network="default")
    host.domain("lab", network="kubelab-lab")
    assert [(machine.name, machine.source) for machine in PROVIDER.machines_of_labs()] == [
        ("lab-cp1", Path("/lab/Vagrantfile")),
        ("my-lab-w12", None),
    ]


def test_a_machine_is_found_by_its_id_whatever_it_is_called(host: Host) -> None:
    host.domain("lab-cp1")
    host.domain("saved", source="/lab/Vagrantfile")
    found = PROVIDER.lab_machines(CONFIG, ["id-of-saved", "id-of-nothing", "id-of-lab-cp1"])
    assert [machine.name for machine in found] == ["lab-cp1", "saved"]


def test_a_description_of_the_users_own_names_no_vagrantfile(host: Host) -> None:
    host.domain("lab-cp1", description="my control plane")
    assert [machine.source for machine in PROVIDER.lab_machines(CONFIG)] == [None]


GIB = 1024 * 1024


def test_what_there_is_of_a_lab_is_read_in_one_call(host: Host) -> None:
    own = {"lab-w1": {"address": "192.168.61.101"}}
    net = {"nodes": "192.168.61.0/24", "mtu": 1400}
    make_network(make_config(workers={"count": 1}, nodes=own, network=net))
    host.machine("lab-cp1", memory=3 * GIB, vcpu="<vcpu placement='static'>2</vcpu>")
    host.machine("lab-w1", state="shutoff", memory=2 * GIB, vcpu="<vcpu current='1'>4</vcpu>")
    clone, other = {"size": 1, "backing": IMAGE, "gib": 12}, {"size": 1, "backing": "debian.img", "gib": 20}
    host.volumes(**{"lab-cp1.img": clone, "lab-w1.img": other})
    before = len(host.state["calls"])
    ids = {"lab-cp1": "id-of-lab-cp1", "lab-w1": "id-of-lab-w1", "lab-w2": "id-of-nothing"}
    assert PROVIDER.made(CONFIG, ids) == Made(
        {"lab-cp1": Size(2, 3072, 12, box=BOX.name), "lab-w1": Size(1, 2048, 20)},
        IPv4Network("192.168.61.0/24"),
        1400,
        {"lab-cp1": "192.168.61.11", "lab-w1": "192.168.61.101"},
    )
    asked = [call.split()[0] for call in host.state["calls"][before:]]
    assert asked == ["dumpxml"] * 3 + ["vol-dumpxml"] * 3 + ["net-dumpxml"]


def test_further_disks_are_known_by_their_serial_numbers(host: Host) -> None:
    files = {number: f"kubelab-lab-w1-{number}.qcow2" for number in (1, 2)}
    further = {f"kubelab-{number}": f"{POOL_FOLDER}/{file}" for number, file in files.items()}
    host.machine("lab-cp1", more_disks=["/home/me/data.qcow2"])
    machine = host.machine("lab-w1", further={"mine": "/home/me/more.qcow2", **further})
    host.volumes(**{files[1]: {"size": 1, "gib": 10}, files[2]: {"size": 1, "gib": 5}})
    ids = {"lab-cp1": "id-of-lab-cp1", "lab-w1": machine.id}
    found = PROVIDER.made(CONFIG, ids).machines
    assert (found["lab-cp1"].disks, found["lab-w1"].disks) == ((), (10, 5))
    host.volumes(**{files[2]: {"size": 1}})
    assert PROVIDER.made(CONFIG, ids).machines["lab-w1"].disks is None


def test_what_libvirt_does_not_say_of_a_lab_is_not_known(host: Host) -> None:
    # A disk elsewhere than where Vagrant puts it, no memory told, and somebody else's network.
    host.machine("lab-cp1", disk="other.img")
    host.volumes(**{"lab-cp1.img": {"size": 1, "gib": 12}})
    xml = "<network><bridge name='virbr7'/><ip address='192.168.60.1' netmask='255.255.255.0'/></network>"
    host.change(networks={"kubelab-lab": {"xml": xml, "active": True}})
    assert PROVIDER.made(CONFIG, {"lab-cp1": "id-of-lab-cp1"}) == Made({"lab-cp1": Size()})
    assert PROVIDER.made(CONFIG, {}) == Made({})


def test_names_that_other_machines_have_are_taken(host: Host) -> None:
    host.domain("lab-cp1")
    half_made = host.domain("lab-w1", "shutoff", network="default")
    host.domain("lab-w2", network="default")
    inventory = inventory_of(CONFIG)
    assert PROVIDER.taken(CONFIG, inventory, {}) == ["lab-w1"]
    # Vagrant gives a machine its networks after its name.
    assert PROVIDER.taken(CONFIG, inventory, {"lab-w1": half_made}) == []


def test_machines_are_removed_with_their_disks(host: Host) -> None:
    made = [host.machine("lab-cp1"), host.machine("lab-w1", state="shutoff")]
    host.machine("other-cp1", network="kubelab-other")
    PROVIDER.remove([*made, LabMachine("lab-w2", "id-of-lab-w2")])
    assert host.names("domains") == {"other-cp1"}
    assert host.names("volumes") == {"other-cp1.img"}


def test_further_disks_go_with_their_machine_and_those_of_others_stay(host: Host) -> None:
    own, others = "kubelab-lab-w1-1.qcow2", ("kubelab-lab-w11-1.qcow2", "lab-w1-vdb.qcow2")
    host.volumes(**{name: {"size": 1} for name in (own, *others)})
    files = [f"{POOL_FOLDER}/{name}" for name in (own, *others)]
    PROVIDER.remove([host.machine("lab-w1", more_disks=files)])
    assert host.names("volumes") == set(others)


def test_a_further_disk_that_an_ended_vagrant_left_goes_with_the_clone_it_was_made_after(host: Host) -> None:
    used = "kubelab-lab-w1-1.qcow2"
    host.machine("lab-w1", further={"kubelab-1": f"{POOL_FOLDER}/{used}"})
    clone = {"size": 1, "backing": IMAGE}
    stays = {used: {"size": 1}, "lab-w1.img": clone, "kubelab-lab-w2-1.raw": {"size": 1}}
    host.volumes(**stays, **{"lab-w2.img": clone, "kubelab-lab-w2-1.qcow2": {"size": 1}})
    PROVIDER.remove_left_disks(CONFIG)
    assert host.names("volumes") == stays.keys()
    deleted = [call.split()[-1] for call in host.calls("vol-delete")]
    assert deleted == ["kubelab-lab-w2-1.qcow2", "lab-w2.img"]


def test_a_further_disk_that_its_name_alone_makes_ours_stays_and_is_told(host: Host) -> None:
    host.machine("lab-w1")
    stays = {"lab-w1.img": {"size": 1, "backing": IMAGE}}
    stays |= {name: {"size": 1} for name in ("kubelab-lab-w1-1.qcow2", "kubelab-lab-w3-8.qcow2")}
    host.volumes(**stays)
    report = RecordingReporter()
    Libvirt(report, Event()).remove_left_disks(CONFIG)
    assert host.names("volumes") == stays.keys()
    told = [event["text"] for event in report.of("warn")]
    assert ["kubelab-lab-w1-1.qcow2" in told[0], "kubelab-lab-w3-8.qcow2" in told[1]] == [True, True]
    assert "virsh -c qemu:///system vol-delete --pool default kubelab-lab-w3-8.qcow2" in told[1]


def test_a_disk_that_the_user_gave_a_machine_stays(host: Host) -> None:
    host.volumes(**{"data.img": {"size": 1}})
    more = [f"{POOL_FOLDER}/data.img", "/home/me/lab-w1.img"]
    PROVIDER.remove([host.machine("lab-w1", more_disks=more)])
    assert host.names("volumes") == {"data.img"}


def test_a_disk_that_another_machine_has_too_stays(host: Host) -> None:
    machine = host.machine("lab-w1")
    host.domain("rescue", network="default", more_disks=[f"{POOL_FOLDER}/lab-w1.img"])
    PROVIDER.remove([machine])
    assert (host.names("domains"), host.names("volumes")) == ({"rescue"}, {"lab-w1.img"})


def test_a_machine_of_the_same_name_made_meanwhile_is_not_removed(host: Host) -> None:
    host.machine("lab-w1")
    PROVIDER.remove([LabMachine("lab-w1", "id-of-its-forerunner")])
    assert (host.names("domains"), host.names("volumes")) == ({"lab-w1"}, {"lab-w1.img"})


def test_a_machine_that_cannot_be_removed_is_no_success(host: Host) -> None:
    machine = host.machine("lab-cp1")
    host.change(fail={"undefine": "cannot undefine domain with checkpoints"})
    with pytest.raises(ToolFailed, match="undefine"):
        PROVIDER.remove([machine])
    assert host.names("volumes") == {"lab-cp1.img"}


def image(name: str) -> str:
    """Return the name of the pool's volume of another box."""
    return IMAGE.replace("abc", name)


def test_a_disk_that_an_ended_vagrant_left_goes_and_those_of_machines_stay(host: Host) -> None:
    host.machine("lab-cp1")
    clone = {"size": 1, "backing": IMAGE}
    host.volumes(**{"lab-w1.img": clone, "lab-w2.img": {"size": 1}, "lab2-w1.img": clone})
    PROVIDER.remove_left_disks(CONFIG)
    assert host.names("volumes") == {"lab-cp1.img", "lab-w2.img", "lab2-w1.img"}


def test_the_rest_of_a_lab_goes_and_nothing_else(host: Host) -> None:
    make_network()
    stays: dict[str, Any] = {
        "lab-w1": {"size": 1},
        "lab-cp1-data.img": {"size": 1, "backing": image("kept")},
        "mylab-cp1.img": {"size": 1, "backing": image("kept")},
        # The disk of a machine that was renamed, and one that somebody made without a box.
        "lab-w2.img": {"size": 1, "backing": IMAGE},
        "lab-w9.img": {"size": 1},
        "other-cp1.img": {"size": 1, "backing": IMAGE},
        "my notes.img": {"size": 1, "backing": image("mine")},
        "elsewhere": {"size": 1, "backing": image("other-pool"), "pool": "fast"},
        **{image(name): {"size": 1} for name in ("abc", "mine", "kept", "other-pool", "disk")},
        "debian-VAGRANTSLASH-13_vagrant_box_image_1_box.img": {"size": 1},
    }
    goes: dict[str, Any] = {
        "lab-cp1.img": {"size": 1, "backing": image("old")},
        image("old"): {"size": 1},
    }
    host.domain("web", network="default", disk=[f"{POOL_FOLDER}/lab-w2.img", "qcow2"])
    host.domain("db", network="default", disk=[f"{POOL_FOLDER}/{image('disk')}", "qcow2"])
    host.change(volumes={**stays, **goes}, pools=["default", "fast"])
    PROVIDER.remove_rest(CONFIG)
    assert host.names("volumes") == set(stays)
    assert host.names("networks") == {"default"}
    assert host.names("domains") == {"web", "db"}
    PROVIDER.remove_rest(CONFIG)
    assert host.names("volumes") == set(stays)


def test_no_box_image_goes_while_another_lab_is_made(host: Host) -> None:
    host.volumes(**{IMAGE: {"size": 1}})
    with try_lock(host_lock(BOXES_LOCK), shared=True), try_lock(host_lock(BOXES_LOCK), shared=True) as second:
        assert second
        PROVIDER.remove_rest(CONFIG)
        assert host.names("volumes") == {IMAGE}
    PROVIDER.remove_rest(CONFIG)
    assert host.names("volumes") == set()


def test_a_pool_that_does_not_answer_keeps_the_box_images(host: Host) -> None:
    host.volumes(**{IMAGE: {"size": 1}})
    host.change(fail={"pool-list": "no connection"})
    PROVIDER.remove_rest(CONFIG)
    assert host.names("volumes") == {IMAGE}


def test_the_networks_of_others_stay(host: Host) -> None:
    make_network()
    networks = host.state["networks"]
    networks["kubelab-other"] = networks["kubelab-lab2"] = networks["kubelab-lab"]
    host.change(networks=networks)
    PROVIDER.remove_rest(CONFIG)
    assert host.names("networks") == {"default", "kubelab-other", "kubelab-lab2"}
    assert all(network["active"] for network in host.state["networks"].values())


@pytest.fixture
def anothers_network(host: Host) -> str:
    """A network with the name of the lab's that kubelab did not make; return what defines it."""
    xml = network_xml(CONFIG, inventory_of(CONFIG)).replace(bridge_name("lab"), "virbr7")
    host.change(networks={"kubelab-lab": {"xml": xml, "active": True}})
    return xml


def test_a_network_that_somebody_else_made_is_neither_used_nor_removed(
    host: Host, anothers_network: str
) -> None:
    more = make_config(workers={"count": 2})
    assert not network_ready()
    for ask in (PROVIDER.refuse_network, PROVIDER.make_network):
        with pytest.raises(ConfigError, match="kubelab did not make") as caught:
            ask(more, inventory_of(more))
        assert caught.value.key == "name"
    PROVIDER.remove_rest(CONFIG)
    assert host.state["networks"] == {"kubelab-lab": {"xml": anothers_network, "active": True}}


def test_a_network_with_another_machine_on_it_stays(host: Host) -> None:
    make_network()
    host.domain("saved")
    PROVIDER.remove_rest(CONFIG)
    assert "kubelab-lab" in host.names("networks")


def test_a_lab_whose_network_stands_still_is_removed_too(host: Host) -> None:
    make_network()
    networks = host.state["networks"]
    networks["kubelab-lab"]["active"] = False
    host.change(networks=networks)
    PROVIDER.remove_rest(CONFIG)
    assert host.names("networks") == {"default"}


@pytest.mark.parametrize("command", [["net-dumpxml"], ["dumpxml"], ["vol-dumpxml", "--pool", "default"]])
def test_what_vanished_meanwhile_has_no_xml(host: Host, command: list[str]) -> None:
    assert PROVIDER.virsh.xml(*command, "gone") is None
    host.change(fail={command[0]: "Cannot recv data: Connection reset by peer"})
    with pytest.raises(ToolFailed):
        PROVIDER.virsh.xml(*command, "gone")


def test_a_libvirt_that_does_not_answer_is_an_error_with_a_hint(host: Host) -> None:
    host.change(fail={"net-list": "failed to connect to the hypervisor", "list": "failed to connect"})
    with pytest.raises(ToolFailed) as caught:
        network_ready()
    assert caught.value.hint == "kubelab doctor --fix"
    with pytest.raises(ToolFailed):
        PROVIDER.states(["id"])


def test_a_machine_that_stays_paused_though_libvirt_said_otherwise_is_told(host: Host) -> None:
    machine = host.domain("lab-w1", "paused")
    program = host.folder / "virsh"
    honest = program.rename(host.folder / "honest")
    program.write_text(f'#!/bin/sh\ncase "$*" in *resume*) exit 0;; esac\nexec {honest} "$@"\n')
    program.chmod(0o755)
    with pytest.raises(UnknownAnswer, match="resume"):
        PROVIDER.resume([machine])
    honest.rename(program)
    PROVIDER.resume([machine])
    assert PROVIDER.states([machine]) == {machine: RUNNING}


def test_a_machine_that_libvirt_itself_ended_meanwhile_is_off_and_no_fault(host: Host) -> None:
    machine = host.domain("lab-w1", "paused")
    program = host.folder / "virsh"
    honest = program.rename(host.folder / "honest")
    ended = (
        f"{honest} --quiet --connect qemu:///system destroy {machine}; echo domain is not running >&2; exit 1"
    )
    program.write_text(f'#!/bin/sh\ncase "$*" in *resume*) {ended};; esac\nexec {honest} "$@"\n')
    program.chmod(0o755)
    PROVIDER.resume([machine])
    assert PROVIDER.states([machine]) == {machine: STOPPED}


def test_an_answer_with_a_null_character_is_none_of_libvirts(host: Host) -> None:
    program = host.folder / "virsh"
    program.write_text("#!/bin/sh\nprintf 'kubelab\\0.img   /pool/kubelab.img\\n'\n")
    with pytest.raises(UnknownAnswer):
        PROVIDER.remove_left_disks(CONFIG)


def test_without_virsh_the_missing_program_is_named(
    host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(MissingTool, match="virsh"):
        network_ready()


def test_machines_of_any_name_beside_the_lab_are_no_trouble(host: Host) -> None:
    for name in ("a===b", "===", "===c"):
        host.domain(name)
    machine = host.domain("lab-w1")
    assert PROVIDER.states([machine]) == {machine: "running"}
    assert PROVIDER.virsh.lists("list --all --name", "list --all --name")[0] == [
        "a===b",
        "===",
        "===c",
        "lab-w1",
    ]


def test_a_machine_says_which_name_its_node_was_made_with(host: Host) -> None:
    make_network(make_config(workers={"count": 1}, nodes={"lab-w1": {"name": "w1-k8s"}}))
    host.machine("lab-cp1", hostname="lab-cp1")
    host.machine("lab-w1", hostname="w1-k8s")
    host.machine("lab-w2")
    made = PROVIDER.made(CONFIG, {name: f"id-of-{name}" for name in ("lab-cp1", "lab-w1", "lab-w2")})
    assert made.hostnames == {"lab-cp1": "lab-cp1", "lab-w1": "w1-k8s"}
    assert made.addresses == {"lab-cp1": "192.168.60.11", "lab-w1": "192.168.60.21"}
    assert [(each.name, each.node) for each in PROVIDER.lab_machines(CONFIG)] == [
        ("lab-cp1", "lab-cp1"),
        ("lab-w1", "w1-k8s"),
        ("lab-w2", "lab-w2"),
    ]


def test_the_machines_names_are_asked_for_whatever_their_nodes_are_called(host: Host) -> None:
    host.domain("lab-w1", network="default")
    host.domain("w1-k8s", network="default")
    named = make_config(workers={"count": 1}, nodes={"lab-w1": {"name": "w1-k8s"}})
    assert PROVIDER.taken(named, inventory_of(named), {}) == ["lab-w1"]
