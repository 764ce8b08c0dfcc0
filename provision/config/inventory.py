"""The nodes of a lab, computed from its configuration alone. Pure.

A node's role and number give its address and its pod range, so both stay the same when other nodes are added
or removed: control plane 1 has offset 11 in the node network, worker 1 has offset 21. A node may have an
address of its own instead, and a name of its own: its machine keeps the name that its role and number give.
"""

from __future__ import annotations

import hashlib
import ipaddress
import itertools
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from provision.config.addresses import GATEWAY_OFFSET, POD_PREFIX, Role, offset_of
from provision.config.schema import ClusterConfig, NodeConfig, NodePool
from provision.config.suggest import did_you_mean
from provision.config.tasks import Task
from provision.errors import ConfigError

T = TypeVar("T")
# What the names of the labs' bridges begin with.
BRIDGE_PREFIX = "kl"
# What the serial numbers of further disks begin with.
DISK_SERIAL = "kubelab-"
_POD_RANGE = 2 ** (32 - POD_PREFIX)


@dataclass(frozen=True)
class Node:
    """One VM. `index` counts from 1 within the role; memory is in MiB, disk in GiB; taints as in lab.yaml.

    `name` is its hostname and that of its Node; `machine` is what the hypervisor and Vagrant call it, by
    which all that is the lab's there is known. `disks` are the GiB of its further disks.
    """

    name: str
    machine: str
    role: Role
    index: int
    ip: str
    mac: str
    cpus: int
    memory: int
    disk: int
    disks: tuple[int, ...]
    pod_cidr: str
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[str, ...] = ()
    tasks: tuple[Task, ...] = ()

    @property
    def is_control_plane(self) -> bool:
        return self.role == "control-plane"


@dataclass(frozen=True)
class Inventory:
    """All nodes, control planes first, and the host's address in their network."""

    nodes: tuple[Node, ...]
    gateway: str

    @property
    def control_planes(self) -> tuple[Node, ...]:
        return tuple(node for node in self.nodes if node.is_control_plane)

    @property
    def workers(self) -> tuple[Node, ...]:
        return tuple(node for node in self.nodes if not node.is_control_plane)

    @property
    def first(self) -> Node:
        """Return the first control plane, which `kubeadm init` runs on."""
        return self.nodes[0]

    def node(self, name: str) -> Node:
        """Return the node, or the node of the machine, called `name`; raises ConfigError with the nearest."""
        found = next((node for node in self.nodes if name in (node.name, node.machine)), None)
        if found is None:
            names = [node.name for node in self.nodes]
            raise ConfigError(
                f"there is no node `{name}`{did_you_mean(name, names)}",
                hint=f"the nodes are {', '.join(names)}",
            )
        return found

    def name_of(self, machine: str) -> str:
        """Return the name of the node of `machine`; of a machine that lab.yaml has no more, its own."""
        return next((node.name for node in self.nodes if node.machine == machine), machine)

    def by_machine(self, values: Mapping[str, T]) -> dict[str, T]:
        """Return machine name -> value, of node name -> value."""
        return {node.machine: values[node.name] for node in self.nodes if node.name in values}

    def by_name(self, values: Mapping[str, T]) -> dict[str, T]:
        """Return node name -> value, of machine name -> value; those of other machines are left out."""
        return {node.name: values[node.machine] for node in self.nodes if node.machine in values}

    def chosen(self, names: Collection[str]) -> tuple[Node, ...]:
        """Return the nodes called `names`; all of them without any."""
        return tuple(node for node in self.nodes if not names or node.name in names)


def inventory_of(config: ClusterConfig) -> Inventory:
    """Return the nodes that `config` asks for."""
    places: list[tuple[str, Role, int, NodePool]] = []
    places += [
        (f"{config.name}-cp{index}", "control-plane", index, config.control_planes)
        for index in range(1, config.control_planes.count + 1)
    ]
    places += [
        (f"{config.name}-w{index}", "worker", index, config.workers)
        for index in range(1, config.workers.count + 1)
    ]
    macs = _macs(config.name, [machine for machine, *_ in places])
    nodes = []
    for machine, role, index, pool in places:
        offset = offset_of(role, index)
        own = config.nodes.get(machine, NodeConfig())
        pods = config.network.pods.network_address + offset * _POD_RANGE
        nodes.append(
            Node(
                name=own.name or machine,
                machine=machine,
                role=role,
                index=index,
                ip=str(own.address or config.network.nodes[offset]),
                mac=macs[machine],
                cpus=pool.cpus if own.cpus is None else own.cpus,
                memory=pool.memory if own.memory is None else own.memory,
                disk=pool.disk if own.disk is None else own.disk,
                disks=pool.disks if own.disks is None else own.disks,
                pod_cidr=str(ipaddress.IPv4Network((pods, POD_PREFIX))),
                labels=pool.labels | own.labels,
                taints=pool.taints if own.taints is None else own.taints,
                tasks=(*pool.provision, *own.provision),
            )
        )
    return Inventory(nodes=tuple(nodes), gateway=str(config.network.nodes[GATEWAY_OFFSET]))


def disk_serial(number: int) -> str:
    """Return the serial number of a further disk, which count from 1; udev links by-id/virtio-SERIAL."""
    return f"{DISK_SERIAL}{number}"


def network_name(lab: str) -> str:
    """Return the name of the lab's own network in the hypervisor."""
    return f"kubelab-{lab}"


def bridge_name(lab: str) -> str:
    """Return the name of the lab's bridge on the host: a digest, since Linux allows only 15 characters."""
    return f"{BRIDGE_PREFIX}{hashlib.sha256(lab.encode()).hexdigest()[:8]}"


def _macs(lab: str, machines: list[str]) -> dict[str, str]:
    """Return machine name -> MAC address, with QEMU's prefix."""
    macs: dict[str, str] = {}
    for name in machines:
        # Three bytes of a digest can collide, if rarely: then the later node takes another digest.
        for attempt in itertools.count():
            text = f"{lab}/{name}" if attempt == 0 else f"{lab}/{name}/{attempt}"
            mac = "52:54:00:" + hashlib.sha256(text.encode()).digest()[:3].hex(":")
            if mac not in macs.values():
                macs[name] = mac
                break
    return macs
