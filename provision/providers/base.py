"""What every provider can do."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import Protocol

from provision.box.reference import BoxReference
from provision.config.inventory import Inventory
from provision.config.schema import ClusterConfig
from provision.host.facts import HostFacts

RUNNING, PAUSED, STOPPED = "running", "paused", "stopped"
# Off, with its memory kept: it runs on from there when it is started.
SAVED = "saved"
# Of a machine that does not exist; no provider returns it.
MISSING = "missing"
# Held by every `up`, so that no box image is deleted while machines are made of it.
BOXES_LOCK = "boxes"


@dataclass(frozen=True)
class LabMachine:
    """A machine that has a name and the network of a lab; `source` is the Vagrantfile it was made from.

    `hostname` is the name that it was made with for its node, None where the hypervisor does not say it.
    """

    name: str
    id: str
    source: Path | None = None
    hostname: str | None = None

    @property
    def node(self) -> str:
        """Return the name of its node."""
        return self.hostname or self.name


@dataclass(frozen=True)
class Size:
    """What a machine has: memory in MiB, disk in whole GiB; None for what the hypervisor does not say.

    `disks` are the whole GiB of its further disks that were made with it. `bridge` is the host's bridge of
    its second card, empty without one. `box` is the name of the box that its disk was cloned from.
    """

    cpus: int | None = None
    memory: int | None = None
    disk: int | None = None
    disks: tuple[int, ...] | None = ()
    bridge: str = ""
    box: str | None = None


@dataclass(frozen=True)
class Made:
    """What a hypervisor has of a lab: machine name -> its size, and the range and MTU of the lab's network.

    None stands for a network that is not there or not the lab's own, and for an MTU that it does not say.
    `addresses` is machine name -> the address that the network gives it, and `hostnames` -> the name that it
    was made with for its node, both as far as the hypervisor says so.
    """

    machines: Mapping[str, Size]
    nodes: IPv4Network | None = None
    mtu: int | None = None
    addresses: Mapping[str, str] = field(default_factory=dict)
    hostnames: Mapping[str, str] = field(default_factory=dict)


class Provider(Protocol):
    """One hypervisor. `ids` are the machine ids that Vagrant keeps, which are the hypervisor's own.

    It knows machines by their own names, which are not always those of their nodes.
    """

    @property
    def name(self) -> str:
        """Return the name Vagrant and lab.yaml use."""

    @property
    def parallel(self) -> bool:
        """Return whether Vagrant may start several machines at once."""

    @property
    def builds_boxes(self) -> bool:
        """Return whether kubelab builds boxes for it; without, only its Vagrantfile can be rendered."""

    def preflight(self, facts: HostFacts) -> None:
        """Refuse a host, or a use, that this provider cannot serve; raises LabError."""

    def states(self, ids: Sequence[str]) -> Mapping[str, str]:
        """Return id -> "running", "paused", "stopped" or "saved", without the ids that do not exist."""

    def resume(self, ids: Sequence[str]) -> None:
        """Let paused machines run on."""

    def start(self, machine: str) -> None:
        """Start a machine that is off; a saved one may be left paused, for `resume` to let it run.

        Raises MachineBusy while the hypervisor is still at work on it.
        """

    def shut_down(self, machine: str) -> None:
        """Press the power button of a machine, and return at once; one that is off stays so."""

    def power_off(self, machine: str) -> None:
        """Switch a machine off, as if its plug were pulled; one that is off stays so."""

    def save_memory(self, machine: str) -> None:
        """Keep a paused machine's memory on the host's disk, and switch it off; `start` goes on there."""

    def resize(self, machine: str, *, cpus: int, memory: int) -> None:
        """Give a machine that is off other CPUs and another memory (MiB): it starts with them."""

    def network_ready(self, config: ClusterConfig, inventory: Inventory) -> bool:
        """Return whether the lab's own network is up and knows every node's address."""

    def refuse_network(self, config: ClusterConfig, inventory: Inventory) -> None:
        """Raise ConfigError where the lab's network cannot be made, or is there with another range."""

    def make_network(self, config: ClusterConfig, inventory: Inventory) -> None:
        """Make the lab's network so; raises ConfigDrift when a living one has another range."""

    def has_box(self, box: BoxReference, folder: Path) -> bool:
        """Return whether the box's disk is where machines are cloned from."""

    def upload_box(self, box: BoxReference, folder: Path) -> None:
        """Put the box's disk where machines are cloned from, unless it is there."""

    def lab_machines(self, config: ClusterConfig, ids: Collection[str] = ()) -> Sequence[LabMachine]:
        """Return the machines of every lab of this name, whichever folder made them, and those with `ids`."""

    def made(self, config: ClusterConfig, ids: Mapping[str, str]) -> Made:
        """Return what there is of the lab, whatever lab.yaml says now; `ids` is machine name -> id.

        Machines that do not exist are left out. It is asked at the start of every `up`: in few calls.
        """

    def machines_of_labs(self) -> Sequence[LabMachine]:
        """Return the machines of all labs, whichever folders and users made them."""

    def taken(self, config: ClusterConfig, inventory: Inventory, known: Mapping[str, str]) -> list[str]:
        """Return the nodes' machine names that others have: neither the lab's, nor `known` (name -> id)."""

    def remove(self, machines: Sequence[LabMachine]) -> None:
        """Remove machines, and those of their disks that were made with them."""

    def remove_left_disks(self, config: ClusterConfig) -> None:
        """Remove the disks of the lab's machines that have no machine: an ended `vagrant up` leaves some."""

    def remove_rest(self, config: ClusterConfig) -> None:
        """Remove what Vagrant leaves of a lab: its network, and disks that nothing uses any more."""


@dataclass(frozen=True)
class Held:
    """The snapshots a machine has in its hypervisor, and the one it stands on."""

    names: tuple[str, ...]
    current: str | None = None


@dataclass(frozen=True)
class Space:
    """Where a machine's disks and snapshots are on the host, and the bytes they take there."""

    folder: Path
    used: int


class SnapshotBackend(Protocol):
    """A hypervisor's snapshots, machine by machine, by the ids that Vagrant keeps.

    Every method raises LabError; what it was at then may have happened or not.
    """

    def states(self, ids: Sequence[str]) -> Mapping[str, str]:
        """Return id -> "running", "paused", "stopped" or "saved", without the ids that do not exist."""

    def can_save(self, ids: Sequence[str]) -> None:
        """Raise SnapshotError for a machine whose disks or firmware allow no snapshot."""

    def space(self, ids: Sequence[str]) -> Mapping[str, Space]:
        """Return the room that each machine takes on the host."""

    def pause(self, ids: Sequence[str]) -> Mapping[str, float]:
        """Stop running machines, all at once; return id -> the monotonic second at which it stood still."""

    def save(self, machine: str, name: str) -> None:
        """Take a snapshot of a paused machine with its memory, of a stopped one without."""

    def revert(self, machine: str, name: str, *, live: bool) -> None:
        """Put a machine back; a `live` snapshot leaves it standing still, for `resume` to let it run.

        What was saved of its memory is forgotten: it belongs to another point in time.
        """

    def resume(self, ids: Sequence[str]) -> None:
        """Let machines run that are paused or were put back, all at once."""

    def delete(self, machine: str, name: str) -> None:
        """Delete a machine's snapshot."""

    def forget(self, ids: Sequence[str]) -> None:
        """Prepare machines with snapshots for their removal, which is slow with them in some hypervisors."""

    def list(self, ids: Sequence[str]) -> Mapping[str, Held]:
        """Return the snapshots of each machine."""
