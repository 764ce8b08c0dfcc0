"""A hypervisor in memory."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Collection, Mapping, Sequence
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from provision.box.reference import BoxReference
from provision.config.inventory import Inventory
from provision.config.schema import ClusterConfig
from provision.errors import LabError
from provision.providers.base import PAUSED, RUNNING, SAVED, STOPPED, LabMachine, Made, Size
from tests.fakes.providers.ids import id_of


class FakeProvider:
    """A hypervisor in memory: `calls` lists what changed it.

    `stray` are the names of machines made from the lab in `folder`, `others` name -> Vagrantfile of others.
    `deaf` are the ids of machines that do not heed their power button. `hostnames` is machine name -> that of
    its node, where machines are told to say it.
    """

    name = "libvirt"
    parallel = True
    builds_boxes = True

    def preflight(self, facts: object) -> None:
        """Refuse nothing."""

    def __init__(self, report: object = None, cancel: threading.Event | None = None) -> None:
        self.machines: dict[str, str] = {}
        self.deaf: set[str] = set()
        self.stray: list[str] = []
        self.others: dict[str, str | None] = {}
        self.folder = Path("/lab")
        self.foreign: list[str] = []
        self.drift: LabError | None = None
        self.network = False
        self.sizes: dict[str, Size] = {}
        self.hostnames: dict[str, str] = {}
        self.nodes: IPv4Network | None = None
        self.mtu: int | None = None
        self.boxes: set[str] = set()
        self.calls: list[tuple[str, Any]] = []

    def states(self, ids: Sequence[str]) -> Mapping[str, str]:
        return {machine: self.machines[machine] for machine in ids if machine in self.machines}

    def resume(self, ids: Sequence[str]) -> None:
        self.calls.append(("resume", list(ids)))

    def start(self, machine: str) -> None:
        self.calls.append(("start", machine))
        self.machines[machine] = self._once_started(machine)

    def shut_down(self, machine: str) -> None:
        self.calls.append(("shut_down", machine))
        if machine not in self.deaf:
            self.machines[machine] = STOPPED

    def power_off(self, machine: str) -> None:
        self.calls.append(("power_off", machine))
        self.machines[machine] = STOPPED

    def save_memory(self, machine: str) -> None:
        self.calls.append(("save_memory", machine))
        assert self.machines[machine] == PAUSED
        self.machines[machine] = SAVED

    def resize(self, machine: str, *, cpus: int, memory: int) -> None:
        assert self.machines.get(machine, STOPPED) == STOPPED
        self.calls.append(("resize", (machine, cpus, memory)))
        for name in [name for name in self.sizes if id_of(name) == machine]:
            self.sizes[name] = dataclasses.replace(self.sizes[name], cpus=cpus, memory=memory)

    def _once_started(self, machine: str) -> str:
        assert self.machines[machine] in (STOPPED, SAVED)
        return PAUSED if self.machines[machine] == SAVED else RUNNING

    def network_ready(self, config: ClusterConfig, inventory: Inventory) -> bool:
        return self.network

    def refuse_network(self, config: ClusterConfig, inventory: Inventory) -> None:
        if self.drift is not None:
            raise self.drift

    def make_network(self, config: ClusterConfig, inventory: Inventory) -> None:
        self.calls.append(("make_network", config.name))
        self.network = True

    def lab_machines(self, config: object, ids: Collection[str] = ()) -> list[LabMachine]:
        own = [
            LabMachine(name, f"stray-{name}", self.folder / "Vagrantfile", self.hostnames.get(name))
            for name in self.stray
        ]
        return own + [
            LabMachine(name, f"other-{name}", Path(file) if file else None)
            for name, file in self.others.items()
        ]

    def made(self, config: ClusterConfig, ids: Mapping[str, str]) -> Made:
        sizes = {name: self.sizes.get(name, Size()) for name in ids}
        return Made(sizes, self.nodes, self.mtu, hostnames=self.hostnames)

    def machines_of_labs(self) -> list[LabMachine]:
        return self.lab_machines(None)

    def taken(self, config: ClusterConfig, inventory: Inventory, known: Mapping[str, str]) -> list[str]:
        return self.foreign

    def has_box(self, box: BoxReference, folder: Path) -> bool:
        return box.name in self.boxes

    def upload_box(self, box: BoxReference, folder: Path) -> None:
        self.calls.append(("upload_box", folder))
        self.boxes.add(box.name)

    def remove(self, machines: Sequence[LabMachine]) -> None:
        names = [machine.name for machine in machines]
        self.calls.append(("remove", names))
        self.stray = [name for name in self.stray if name not in names]
        for machine in machines:
            self.machines.pop(machine.id, None)

    def remove_left_disks(self, config: ClusterConfig) -> None:
        self.calls.append(("remove_left_disks", config.name))

    def remove_rest(self, config: ClusterConfig) -> None:
        self.calls.append(("remove_rest", config.name))
        self.network = False
