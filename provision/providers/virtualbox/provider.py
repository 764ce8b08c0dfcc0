"""VirtualBox, for the provider that Vagrant brings itself.

The box that `kubelab box build` makes is libvirt's alone: so far this provider renders a Vagrantfile and
is tested against a stand-in for VBoxManage, and has not brought up a cluster.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event

from provision.box.reference import BoxReference
from provision.config.inventory import Inventory, network_name
from provision.config.names import lab_of_machine
from provision.config.schema import ClusterConfig
from provision.config.values import SMALLEST_DISK
from provision.engine.waiting import Clock, RealClock, poll_until
from provision.errors import ConfigError, MachineBusy, ResourceError, ToolFailed
from provision.host.facts import VIRTUALISATION_FLAGS, HostFacts
from provision.providers.base import LabMachine, Made, Size
from provision.providers.virtualbox.hostonly import NETWORKS_FILE, HostOnly
from provision.providers.virtualbox.vboxmanage import NOT_FOUND, VBoxManage
from provision.report.base import Reporter

# The key of the first disk of a machine: the controller has the name that the box gave it.
DISK = re.compile(r".+-0-0")
MIB_A_GIB = 1024
DELETE_DEADLINE = 120.0
UNLOCK_SECONDS = 30.0
# What the Vagrantfile writes before its own path, as each machine's description.
_SOURCE = "Source: "


@dataclass(frozen=True)
class VirtualBox:
    """Machines with two network cards: VirtualBox's NAT, and a host-only network for the lab.

    Pods reach each other by routes through the nodes' addresses, so no card need listen to frames for
    others. Vagrant boots one machine after the other: VirtualBox races when several are made at once.
    """

    report: Reporter
    cancel: Event
    name: str = "virtualbox"
    parallel: bool = False
    builds_boxes: bool = False
    networks_file: Path = NETWORKS_FILE

    @property
    def vbox(self) -> VBoxManage:
        return VBoxManage(self.cancel)

    @property
    def clock(self) -> Clock:
        return RealClock(self.cancel)

    @property
    def network(self) -> HostOnly:
        return HostOnly(self.vbox, self.networks_file)

    def preflight(self, facts: HostFacts) -> None:
        """Raise ResourceError where no VM can run, as VirtualBox emulates no CPU; MissingTool without it."""
        if facts.cpu_flags and not facts.cpu_flags & VIRTUALISATION_FLAGS:
            raise ResourceError(
                "VirtualBox needs hardware virtualisation, and this CPU offers none (no vmx or svm flag)",
                hint="switch VT-x or AMD-V on in the firmware, or set provider: libvirt, which can emulate",
            )
        self.vbox("--version")

    def states(self, ids: Sequence[str]) -> Mapping[str, str]:
        """Return the state of each machine that exists; aborted and stuck ones are stopped."""
        return self.vbox.states(ids)

    def resume(self, ids: Sequence[str]) -> None:
        """Let paused machines run on."""
        for machine in ids:
            self.vbox("controlvm", machine, "resume")

    def start(self, machine: str) -> None:
        """Start a machine without a window; one whose memory is saved runs on from there."""
        self.vbox.copy("startvm", machine, "--type", "headless")

    def shut_down(self, machine: str) -> None:
        """Press the machine's ACPI power button."""
        self.vbox.quietly("controlvm", machine, "acpipowerbutton")

    def power_off(self, machine: str) -> None:
        """Switch the machine off."""
        self.vbox.quietly("controlvm", machine, "poweroff")

    def save_memory(self, machine: str) -> None:
        """Save the machine's memory beside its disk."""
        self.vbox.copy("controlvm", machine, "savestate")

    def resize(self, machine: str, *, cpus: int, memory: int) -> None:
        """Change the machine's settings; it stays locked for a moment after it went off."""
        words = ("modifyvm", machine, "--cpus", str(cpus), "--memory", str(memory))
        poll_until(
            partial(self._modified, *words),
            what=f"the end of {machine}",
            deadline=UNLOCK_SECONDS,
            clock=self.clock,
            interval=0.5,
            errors=MachineBusy,
        )

    def network_ready(self, config: ClusterConfig, inventory: Inventory) -> bool:
        """Return whether the host-only interface is there; the nodes' addresses are static, from Vagrant.

        Raises ConfigError for a network or a disk that VirtualBox cannot have.
        """
        self._check(config, inventory)
        return self.network.ready(config, inventory)

    def refuse_network(self, config: ClusterConfig, inventory: Inventory) -> None:
        """Raise ConfigError for a network or a disk that VirtualBox cannot have."""
        self._check(config, inventory)

    def make_network(self, config: ClusterConfig, inventory: Inventory) -> None:
        """Make the host-only interface; raises ConfigError, ConfigDrift."""
        self._check(config, inventory)
        self.network.make(config, inventory)

    def has_box(self, box: BoxReference, folder: Path) -> bool:
        """Return True: Vagrant imports a box itself, once, and clones from that."""
        return True

    def upload_box(self, box: BoxReference, folder: Path) -> None:
        """Do nothing: Vagrant imports a box itself."""

    def lab_machines(self, config: ClusterConfig, ids: Collection[str] = ()) -> list[LabMachine]:
        """Return the machines in the lab's group, and those with `ids`."""
        found = []
        for machine, name in self.vbox.machines().items():
            info = self.vbox.info(machine) or {}
            if machine in ids or _is_in_group(info, config.name):
                found.append(LabMachine(name, machine, _source(info)))
        return found

    def made(self, config: ClusterConfig, ids: Mapping[str, str]) -> Made:
        """Return the sizes of the machines `ids`, and the range of the lab's own interface."""
        infos = {name: self.vbox.info(machine) for name, machine in ids.items()}
        sizes = {name: self._size(info) for name, info in infos.items() if info is not None}
        return Made(sizes, self.network.made(config))

    def machines_of_labs(self) -> list[LabMachine]:
        """Return the machines that have the name of a lab and are in its group."""
        found = []
        for machine, name in self.vbox.machines().items():
            lab = lab_of_machine(name)
            info = self.vbox.info(machine) if lab is not None else None
            if lab is not None and info is not None and _is_in_group(info, lab):
                found.append(LabMachine(name, machine, _source(info)))
        return found

    def taken(self, config: ClusterConfig, inventory: Inventory, known: Mapping[str, str]) -> list[str]:
        """Return the names that machines outside the lab's group have."""
        machines = self.vbox.machines()
        foreign = {name for machine, name in machines.items() if machine not in known.values()}
        foreign -= {machine.name for machine in self.lab_machines(config)}
        return [node.machine for node in inventory.nodes if node.machine in foreign]

    def remove(self, machines: Sequence[LabMachine]) -> None:
        """Power machines off and remove them with their disks; raises WaitTimeout."""
        for machine in machines:
            self.vbox.quietly("controlvm", machine.id, "poweroff")
            poll_until(
                partial(self._unregister, machine.id),
                what=f"the removal of {machine.name}",
                deadline=UNLOCK_SECONDS,
                clock=self.clock,
                interval=0.5,
                # A machine stays locked for a moment after it was powered off.
                errors=ToolFailed,
            )

    def remove_left_disks(self, config: ClusterConfig) -> None:
        """Do nothing: a disk is made with its machine, and goes with it."""

    def remove_rest(self, config: ClusterConfig) -> None:
        """Remove the lab's host-only interface; the machine that Vagrant clones from belongs to the box."""
        self.network.remove(config)

    def _size(self, info: Mapping[str, str]) -> Size:
        disks = (value for key, value in info.items() if DISK.fullmatch(key) and Path(value).is_absolute())
        disk = next(disks, None)
        mib = self.vbox.capacity(disk) if disk else None
        return Size(_number(info, "cpus"), _number(info, "memory"), mib // MIB_A_GIB if mib else None)

    def _modified(self, *words: str) -> bool:
        self.vbox.copy(*words)
        return True

    def _unregister(self, machine: str) -> bool:
        try:
            self.vbox("unregistervm", machine, "--delete", deadline=DELETE_DEADLINE)
        except ToolFailed as error:
            if NOT_FOUND not in error.output:
                raise
        return True

    def _check(self, config: ClusterConfig, inventory: Inventory) -> None:
        self.network.check_range(config.network.nodes)
        for key, pool in (("controlPlanes", inventory.control_planes), ("workers", inventory.workers)):
            if any(node.disk > SMALLEST_DISK for node in pool):
                raise ConfigError(
                    f"VirtualBox cannot change the size of the box's disk; allowed: {SMALLEST_DISK}GiB",
                    key=f"{key}.disk",
                )


def _number(info: Mapping[str, str], key: str) -> int | None:
    text = info.get(key, "")
    return int(text) if text.isdecimal() else None


def _is_in_group(info: Mapping[str, str], lab: str) -> bool:
    """Return whether a machine is in the group that the lab's Vagrantfile puts its machines into."""
    return f"/{network_name(lab)}" in info.get("groups", "").split(",")


def _source(info: Mapping[str, str]) -> Path | None:
    """Return the Vagrantfile that a machine says it was made from."""
    said = info.get("description", "")
    return Path(said.removeprefix(_SOURCE)) if said.startswith(_SOURCE) else None
