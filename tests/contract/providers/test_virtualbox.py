"""The VirtualBox provider against a stand-in for VBoxManage on PATH."""

from __future__ import annotations

import dataclasses
import marshal
import threading
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
import yaml

from provision.box.reference import BoxReference
from provision.config.inventory import Inventory, inventory_of
from provision.config.schema import ClusterConfig, parse_config
from provision.engine.waiting import Clock
from provision.errors import (
    ConfigDrift,
    ConfigError,
    MachineBusy,
    MissingTool,
    ResourceError,
    ToolFailed,
    WaitTimeout,
)
from provision.extensions import PROVIDERS
from provision.host.facts import HostFacts
from provision.providers.base import LabMachine, Made, Provider, Size
from provision.providers.virtualbox.provider import VirtualBox
from provision.report.base import RecordingReporter
from tests.fakes import stubs

IDS = {
    name: f"{number}{number}{number}{number}0000-1111-4222-8333-444444444444"
    for number, name in enumerate("abcdef")
}
NOTE = "kubelab/lab/hostonly"
FACTS = HostFacts(
    cpus=4,
    memory_mib=16384,
    disk_free_mib=100_000,
    networks=(),
    cpu_flags=frozenset({"sse2", "vmx"}),
    kvm_present=False,
    kvm_usable=False,
    os_id="debian",
    os_codename="bookworm",
    is_root=False,
    has_systemd=True,
    arch="x86_64",
)


@dataclass
class FakeClock:
    """Time that passes only when somebody waits."""

    seconds: float = 0.0

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@dataclass(frozen=True)
class Patient(VirtualBox):
    """The provider with a clock that does not wait."""

    fake: FakeClock = field(default_factory=FakeClock)

    @property
    def clock(self) -> Clock:
        return self.fake


@dataclass(frozen=True)
class Stub:
    """What the stand-in has, and what it was asked."""

    file: Path

    def read(self) -> dict[str, Any]:
        return marshal.loads(self.file.read_bytes())  # type: ignore[no-any-return]

    def has(self, **values: Any) -> None:
        self.file.write_bytes(marshal.dumps(self.read() | values, 2))

    def machines(self, **states: str) -> None:
        """Let it have machines: name -> state."""
        self.has(machines=[{"name": name, "id": IDS[name], "state": state} for name, state in states.items()])

    def calls(self, verb: str) -> list[str]:
        return [call for call in self.read()["calls"] if call.startswith(verb)]


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stub:
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "VBoxManage"
    stubs.install("vboxmanage", program)
    state = tmp_path / "state"
    empty = {"machines": [], "links": [], "notes": {}, "calls": [], "allowed": "192.168.56.0/21"}
    state.write_bytes(marshal.dumps(empty, 2))
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("VBOX_STATE", str(state))
    return Stub(state)


@pytest.fixture
def provider(tmp_path: Path) -> VirtualBox:
    cancel = threading.Event()
    return Patient(RecordingReporter(), cancel, networks_file=tmp_path / "networks.conf")


def lab(**keys: Any) -> tuple[ClusterConfig, Inventory]:
    config = parse_config(yaml.safe_dump({"name": "lab", "provider": "virtualbox", **keys}))
    return config, inventory_of(config)


def link(name: str, ip: str, mask: str = "255.255.255.0") -> dict[str, str]:
    return {"name": name, "ip": ip, "mask": mask}


def test_the_registry_knows_it() -> None:
    made = PROVIDERS.make("virtualbox", Provider, RecordingReporter(), threading.Event())
    assert isinstance(made, VirtualBox)


def test_states_are_told_by_id_and_what_is_gone_is_left_out(stub: Stub, provider: VirtualBox) -> None:
    stub.machines(a="running", b="paused", c="poweroff", d="saved", e="aborted", f="gurumeditation")
    states = provider.states([*IDS.values(), "99999999-0000-4000-8000-000000000000"])
    told = ["running", "paused", "stopped", "saved", "stopped", "stopped"]
    assert [states[IDS[name]] for name in "abcdef"] == told
    assert len(states) == 6


def test_a_machine_goes_off_by_its_power_button_and_is_started_again(
    stub: Stub, provider: VirtualBox
) -> None:
    stub.has(machines=[{"name": "a", "id": IDS["a"], "state": "running", "heeds": False}])
    provider.shut_down(IDS["a"])
    assert provider.states([IDS["a"]]) == {IDS["a"]: "running"}
    provider.power_off(IDS["a"])
    assert provider.states([IDS["a"]]) == {IDS["a"]: "stopped"}
    provider.start(IDS["a"])
    assert provider.states([IDS["a"]]) == {IDS["a"]: "running"}
    stub.machines(a="running")
    provider.shut_down(IDS["a"])
    # It may go off between the question whether it runs and the press of its button.
    provider.shut_down(IDS["a"])
    provider.power_off(IDS["a"])
    assert provider.states([IDS["a"]]) == {IDS["a"]: "stopped"}


def test_a_machine_that_is_off_gets_another_size(stub: Stub, provider: VirtualBox) -> None:
    stub.machines(a="poweroff")
    provider.resize(IDS["a"], cpus=3, memory=4096)
    size = provider.made(lab()[0], {"a": IDS["a"]}).machines["a"]
    assert (size.cpus, size.memory) == (3, 4096)


def test_a_machine_whose_memory_is_kept_runs_on_from_there(stub: Stub, provider: VirtualBox) -> None:
    stub.machines(a="paused")
    provider.save_memory(IDS["a"])
    assert provider.states([IDS["a"]]) == {IDS["a"]: "saved"}
    provider.start(IDS["a"])
    assert provider.states([IDS["a"]]) == {IDS["a"]: "running"}


def test_a_machine_that_was_just_switched_off_is_busy_for_a_moment(stub: Stub, provider: VirtualBox) -> None:
    stub.has(machines=[{"name": "a", "id": IDS["a"], "state": "poweroff", "locked": 1}])
    with pytest.raises(MachineBusy):
        provider.start(IDS["a"])
    provider.start(IDS["a"])
    assert provider.states([IDS["a"]]) == {IDS["a"]: "running"}


def test_a_description_does_not_speak_for_the_machine(stub: Stub, provider: VirtualBox) -> None:
    liar = {"name": "a", "id": IDS["a"], "state": "poweroff", "description": 'x\nVMState="running'}
    stub.has(machines=[liar])
    assert provider.states([IDS["a"]]) == {IDS["a"]: "stopped"}


def test_another_failure_than_a_missing_machine_is_no_missing_machine(
    stub: Stub, provider: VirtualBox
) -> None:
    program = stub.file.parent / "bin" / "VBoxManage"
    program.write_text(
        "#!/bin/sh\necho 'VBoxManage: error: Failed to create the VirtualBox object!' >&2\nexit 1\n"
    )
    with pytest.raises(ToolFailed, match="showvminfo") as caught:
        provider.states([IDS["a"]])
    assert "Failed to create" in caught.value.details
    assert "VBoxManage list hostinfo" in caught.value.hint


def test_paused_machines_run_on(stub: Stub, provider: VirtualBox) -> None:
    stub.machines(a="paused", b="paused")
    provider.resume([IDS["a"], IDS["b"]])
    assert provider.states(list(IDS.values())) == {IDS["a"]: "running", IDS["b"]: "running"}


def test_a_network_is_made_once_and_noted(stub: Stub, provider: VirtualBox) -> None:
    config, inventory = lab()
    stub.has(links=[link("vboxnet0", "192.168.56.1")])
    assert not provider.network_ready(config, inventory)
    provider.make_network(config, inventory)
    assert provider.network_ready(config, inventory)
    assert stub.read()["links"][1] == link("vboxnet1", "192.168.60.1")
    assert stub.read()["notes"] == {NOTE: "vboxnet1 192.168.60.1/24"}
    provider.make_network(config, inventory)
    assert len(stub.calls("hostonlyif create")) == 1


def test_an_interface_of_the_same_range_is_used_and_survives_the_lab(
    stub: Stub, provider: VirtualBox
) -> None:
    config, inventory = lab()
    stub.has(links=[link("vboxnet0", "192.168.60.1")])
    assert provider.network_ready(config, inventory)
    provider.make_network(config, inventory)
    provider.remove_rest(config)
    assert stub.read()["links"] == [link("vboxnet0", "192.168.60.1")]
    assert not stub.calls("hostonlyif")


def test_the_same_address_in_another_range_is_another_network(stub: Stub, provider: VirtualBox) -> None:
    stub.has(links=[link("vboxnet0", "192.168.60.1", "255.255.255.128")])
    assert not provider.network_ready(*lab())
    with pytest.raises(ConfigError, match=r"overlaps VirtualBox's vboxnet0 \(192\.168\.60\.0/25\)") as caught:
        provider.make_network(*lab())
    assert caught.value.key == "network.nodes"


def test_what_there_is_of_a_lab_is_read_from_its_machines_and_its_own_interface(
    stub: Stub, provider: VirtualBox
) -> None:
    config, inventory = lab()
    stub.machines(a="running", b="poweroff")
    ids = {"lab-cp1": IDS["a"], "lab-w1": IDS["b"], "lab-w2": IDS["c"]}
    stub.has(links=[link("vboxnet0", "192.168.60.1")])
    assert provider.made(config, ids) == Made(dict.fromkeys(["lab-cp1", "lab-w1"], Size(2, 2048, 12)))
    stub.has(links=[])
    provider.make_network(config, inventory)
    assert provider.made(lab(network={"nodes": "192.168.61.0/24"})[0], {}).nodes == IPv4Network(
        "192.168.60.0/24"
    )


def test_another_range_under_a_living_lab_is_drift(stub: Stub, provider: VirtualBox) -> None:
    provider.make_network(*lab())
    with pytest.raises(ConfigDrift, match=r"192\.168\.60\.0/24.*192\.168\.61\.0/24") as caught:
        provider.make_network(*lab(network={"nodes": "192.168.61.0/24"}))
    assert caught.value.key == "network.nodes"
    assert "kubelab destroy" in caught.value.hint


def test_a_refused_interface_is_not_left_behind(stub: Stub, provider: VirtualBox) -> None:
    stub.has(allowed="10.0.0.0/8")
    with pytest.raises(ToolFailed):
        provider.make_network(*lab())
    assert (stub.read()["links"], stub.read()["notes"]) == ([], {})


def test_a_range_virtualbox_refuses_is_a_config_error_before_anything_is_asked(
    stub: Stub, provider: VirtualBox
) -> None:
    config, inventory = lab(network={"nodes": "10.1.0.0/24"})
    for ask in (provider.network_ready, provider.make_network):
        with pytest.raises(ConfigError, match=r"10\.1\.0\.0/24.*allowed: 192\.168\.56\.0/21") as caught:
            ask(config, inventory)
        assert caught.value.key == "network.nodes"
        # A new file replaces the range that is allowed without one.
        assert "'* 192.168.56.0/21 10.1.0.0/24'" in caught.value.hint
        assert str(provider.networks_file) in caught.value.hint
    assert stub.read()["calls"] == []


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("* 10.0.0.0/8 192.168.0.0/16\n* 2001::/64\n", True),
        ("# lab\n  *10.1.0.0/16\n", True),
        ("* 0.0.0.0/0 ::/0\n", True),
        ("* 10.1.0.0/25\n", False),
        ("# * 10.1.0.0/16\n", False),
        ("10.1.0.0/16\n* nonsense\n", False),
        ("", False),
    ],
)
def test_the_networks_file_says_what_is_allowed(
    stub: Stub, provider: VirtualBox, text: str, allowed: bool
) -> None:
    provider.networks_file.write_text(text)
    config, inventory = lab(network={"nodes": "10.1.0.0/24"})
    if allowed:
        assert not provider.network_ready(config, inventory)
        return
    with pytest.raises(ConfigError) as caught:
        provider.network_ready(config, inventory)
    assert "'* 10.1.0.0/24'" in caught.value.hint


def test_the_networks_file_may_forbid_the_usual_range(stub: Stub, provider: VirtualBox) -> None:
    provider.networks_file.write_text("* 10.0.0.0/8\n")
    with pytest.raises(ConfigError, match=r"allowed: 10\.0\.0\.0/8"):
        provider.network_ready(*lab())


@pytest.mark.parametrize("pool", ["controlPlanes", "workers"])
def test_a_larger_disk_than_the_boxs_is_refused(stub: Stub, provider: VirtualBox, pool: str) -> None:
    with pytest.raises(ConfigError, match="allowed: 12GiB") as caught:
        provider.network_ready(*lab(**{pool: {"disk": 20}}))
    assert caught.value.key == f"{pool}.disk"


def test_boxes_are_vagrants_own_affair(stub: Stub, provider: VirtualBox, tmp_path: Path) -> None:
    box = BoxReference("kubelab-1.36.3-0123456789ab", "1.0.0", "file:///box.json", 12)
    provider.upload_box(box, tmp_path)
    assert provider.has_box(box, tmp_path)
    assert stub.read()["calls"] == []


def test_the_machines_of_a_lab_are_in_its_group(stub: Stub, provider: VirtualBox) -> None:
    config, _ = lab()
    groups = {
        "a": "/kubelab-lab",
        "b": "/kubelab-lab",
        "c": "/",
        "d": "/kubelab-lab2",
        "e": "/mine,/kubelab-lab",
    }
    stub.has(
        machines=[
            {"name": name, "id": IDS[name], "state": "running", "groups": group}
            for name, group in groups.items()
        ]
    )
    assert [machine.name for machine in provider.lab_machines(config)] == ["a", "b", "e"]
    assert [machine.name for machine in provider.lab_machines(config, [IDS["c"]])] == ["a", "b", "c", "e"]


def test_the_machines_of_all_labs_have_the_name_and_the_group_of_one(
    stub: Stub, provider: VirtualBox
) -> None:
    groups = {"lab-cp1": "/kubelab-lab", "my-w1": "/mine,/kubelab-my", "lab-w1": "/", "c": "/kubelab-c"}
    stub.has(
        machines=[
            {"name": name, "id": IDS[letter], "state": "running", "groups": group}
            for letter, (name, group) in zip("abcd", groups.items(), strict=True)
        ]
    )
    assert [machine.name for machine in provider.machines_of_labs()] == ["lab-cp1", "my-w1"]


def test_a_machine_says_which_vagrantfile_it_was_made_from(stub: Stub, provider: VirtualBox) -> None:
    group = {"state": "running", "groups": "/kubelab-lab"}
    stub.has(
        machines=[
            {"name": "a", "id": IDS["a"], "description": "Source: /lab/Vagrantfile", **group},
            {"name": "b", "id": IDS["b"], "description": "my own", **group},
        ]
    )
    found = provider.lab_machines(lab()[0])
    assert [machine.source for machine in found] == [Path("/lab/Vagrantfile"), None]


def machine(name: str) -> LabMachine:
    return LabMachine(name, IDS[name])


def test_machines_are_removed_with_their_disks_whatever_their_state(stub: Stub, provider: VirtualBox) -> None:
    stub.machines(a="running", b="poweroff", c="running")
    provider.remove([machine("a"), machine("b")])
    assert [machine["name"] for machine in stub.read()["machines"]] == ["c"]
    assert stub.calls("unregistervm") == [f"unregistervm {IDS[name]} --delete" for name in ("a", "b")]
    provider.remove([machine("a")])


def test_a_machine_still_locked_is_tried_again(stub: Stub, provider: VirtualBox) -> None:
    stub.has(machines=[{"name": "a", "id": IDS["a"], "state": "running", "locked": 2}])
    provider.remove([machine("a")])
    assert stub.read()["machines"] == []
    assert len(stub.calls("unregistervm")) == 3


def test_a_machine_that_stays_locked_is_an_error(stub: Stub, provider: VirtualBox) -> None:
    stub.has(machines=[{"name": "a", "id": IDS["a"], "state": "running", "locked": 10_000}])
    with pytest.raises(WaitTimeout, match="the removal of a"):
        provider.remove([machine("a")])


def test_the_labs_network_goes_with_it(stub: Stub, provider: VirtualBox) -> None:
    config, inventory = lab()
    provider.make_network(config, inventory)
    provider.remove_rest(config)
    assert (stub.read()["links"], stub.read()["notes"]) == ([], {})
    provider.remove_rest(config)
    assert len(stub.calls("hostonlyif remove")) == 1


def test_a_network_with_another_machine_on_it_stays(stub: Stub, provider: VirtualBox) -> None:
    config, inventory = lab()
    provider.make_network(config, inventory)
    stub.has(machines=[{"name": "a", "id": IDS["a"], "state": "poweroff", "hostonly": "vboxnet0"}])
    provider.remove_rest(config)
    assert stub.read()["links"] == [link("vboxnet0", "192.168.60.1")]
    assert stub.read()["notes"] == {}


def test_a_network_that_someone_made_anew_stays(stub: Stub, provider: VirtualBox) -> None:
    config, inventory = lab()
    provider.make_network(config, inventory)
    stub.has(links=[link("vboxnet0", "192.168.59.1")])
    provider.remove_rest(config)
    assert stub.read()["links"] == [link("vboxnet0", "192.168.59.1")]


def test_a_host_that_cannot_virtualise_is_refused(stub: Stub, provider: VirtualBox) -> None:
    provider.preflight(FACTS)
    provider.preflight(dataclasses.replace(FACTS, cpu_flags=frozenset({"svm"})))
    # Not every system tells its CPU's flags.
    provider.preflight(dataclasses.replace(FACTS, cpu_flags=frozenset()))
    with pytest.raises(ResourceError, match="vmx or svm") as caught:
        provider.preflight(dataclasses.replace(FACTS, cpu_flags=frozenset({"sse2"})))
    assert "libvirt" in caught.value.hint


def test_a_host_without_virtualbox_is_told_what_to_do(
    provider: VirtualBox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingTool, match="VirtualBox is not installed") as caught:
        provider.preflight(FACTS)
    assert "provider: libvirt" in caught.value.hint
