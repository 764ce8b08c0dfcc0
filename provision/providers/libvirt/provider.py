"""libvirt and QEMU, for Vagrant's libvirt plugin."""

from __future__ import annotations

import ipaddress
import xml.etree.ElementTree as ET
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from provision.box.reference import BoxReference
from provision.config.inventory import Inventory, network_name
from provision.config.names import lab_of_machine, machine_names
from provision.config.schema import ClusterConfig
from provision.errors import ConfigDrift, ConfigError, LabError
from provision.host.facts import HostFacts
from provision.providers.base import SAVED, LabMachine, Made
from provision.providers.libvirt.made import ask, hostname_of, is_own
from provision.providers.libvirt.resize import resized
from provision.providers.libvirt.storage import Storage, disk_files, machine_of
from provision.providers.libvirt.virsh import Virsh, attributes
from provision.providers.vagrantfile import network_xml
from provision.report.base import Reporter

HOST_KEYS = ("mac", "name", "ip")
# What Vagrant's plugin writes before the Vagrantfile of a domain, as its description.
_SOURCE = "Source: "


@dataclass(frozen=True)
class Libvirt:
    """Machines as libvirt domains on a NAT network of the lab's own."""

    report: Reporter
    cancel: Event
    name: str = "libvirt"
    parallel: bool = True
    builds_boxes: bool = True

    def preflight(self, facts: HostFacts) -> None:
        """Accept every host: QEMU emulates where it cannot virtualise, and the doctor checks the rest."""

    @property
    def virsh(self) -> Virsh:
        return Virsh(self.cancel)

    @property
    def storage(self) -> Storage:
        return Storage(self.virsh, self.report)

    def states(self, ids: Sequence[str]) -> Mapping[str, str]:
        """Return the state of each machine that exists."""
        return self.virsh.states(ids)

    def resume(self, ids: Sequence[str]) -> None:
        """Let paused machines run on."""
        self.virsh.resume(ids)

    def start(self, machine: str) -> None:
        """Start a domain; one whose memory is saved is loaded, and stays paused until all run on together."""
        saved = self.states([machine]).get(machine) == SAVED
        self.virsh.copy("start", machine, *(["--paused"] if saved else []))

    def shut_down(self, machine: str) -> None:
        """Send the ACPI event of a power button, which a node's systemd follows."""
        self.virsh.quietly("shutdown", machine, "--mode", "acpi")

    def power_off(self, machine: str) -> None:
        """End the domain's QEMU."""
        self.virsh.quietly("destroy", machine)

    def save_memory(self, machine: str) -> None:
        """Save the domain's memory where libvirt keeps it, from where the next start loads it."""
        self.virsh.copy("managedsave", machine)

    def resize(self, machine: str, *, cpus: int, memory: int) -> None:
        """Define the domain with another size; its disks and snapshots stay."""
        root = self.virsh.xml("dumpxml", machine, "--inactive")
        if root is None:
            raise LabError(f"libvirt has no machine {machine}", hint="kubelab status")
        self.virsh("define", "/dev/stdin", stdin=resized(root, cpus=cpus, memory=memory))

    def network_ready(self, config: ClusterConfig, inventory: Inventory) -> bool:
        """Return whether the network is active and hands out exactly the nodes' addresses."""
        name = network_name(config.name)
        (active,) = self.virsh.lists("net-list --name")
        if name not in active:
            return False
        root = self.virsh.xml("net-dumpxml", name)
        if root is None or not is_own(root, config.name) or _drift(root, config, inventory):
            return False
        return attributes(root, "ip/dhcp/host", HOST_KEYS) == _hosts(inventory)

    def refuse_network(self, config: ClusterConfig, inventory: Inventory) -> None:
        """Raise ConfigDrift where the network is there with another range."""
        root = self.virsh.xml("net-dumpxml", network_name(config.name))
        if root is not None:
            _refuse(root, config, inventory)

    def make_network(self, config: ClusterConfig, inventory: Inventory) -> None:
        """Define and start the network, or add and remove addresses of a living one."""
        name = network_name(config.name)
        root = self.virsh.xml("net-dumpxml", name)
        if root is None:
            self.virsh("net-define", "/dev/stdin", stdin=network_xml(config, inventory))
        else:
            self._adapt(name, root, config, inventory)
        (active,) = self.virsh.lists("net-list --name")
        if name not in active:
            self.virsh("net-start", name)

    def _adapt(self, name: str, found: ET.Element, config: ClusterConfig, inventory: Inventory) -> None:
        _refuse(found, config, inventory)
        (active,) = self.virsh.lists("net-list --name")
        scope = ["--config", "--live"] if name in active else ["--config"]
        wanted, present = _hosts(inventory), attributes(found, "ip/dhcp/host", HOST_KEYS)
        for verb, hosts in (("delete", present - wanted), ("add-last", wanted - present)):
            for mac, host, ip in sorted(hosts):
                entry = f"<host mac='{mac}' name='{host}' ip='{ip}'/>"
                self.virsh("net-update", name, verb, "ip-dhcp-host", entry, *scope)

    def has_box(self, box: BoxReference, folder: Path) -> bool:
        """Return whether the whole disk of the box is in the pool."""
        return self.storage.has_box(box, folder)

    def upload_box(self, box: BoxReference, folder: Path) -> None:
        """Upload the box's disk into the pool, unless it is there."""
        self.storage.upload_box(box, folder)

    def lab_machines(self, config: ClusterConfig, ids: Collection[str] = ()) -> list[LabMachine]:
        """Return the domains with a name and on the network of this lab, and those with `ids`."""
        found = [_machine(root) for _, root in self._domains(config)]
        rest = sorted(set(ids) - {machine.id for machine in found})
        return found + [_machine(root) for root in self.virsh.definitions(rest).values()]

    def made(self, config: ClusterConfig, ids: Mapping[str, str]) -> Made:
        """Return the sizes of the domains `ids`, and the lab's network, in one call."""
        return ask(self.virsh, config.name, ids)

    def machines_of_labs(self) -> list[LabMachine]:
        """Return the domains that have the name and the network of a lab."""
        (names,) = self.virsh.lists("list --all --name")
        labs = {name: lab for name in names if (lab := lab_of_machine(name)) is not None}
        roots = self.virsh.definitions(list(labs))
        return [_machine(root) for name, root in roots.items() if _is_on(root, network_name(labs[name]))]

    def taken(self, config: ClusterConfig, inventory: Inventory, known: Mapping[str, str]) -> list[str]:
        """Return the names that domains of other networks have, but for those that Vagrant began to make."""
        (names,) = self.virsh.lists("list --all --name")
        found = [node.machine for node in inventory.nodes if node.machine in names]
        ours = {name for name, _ in self._domains(config)} if found else set()
        foreign = self.virsh.definitions([name for name in found if name not in ours])
        return [name for name, root in foreign.items() if root.findtext("uuid") not in known.values()]

    def _domains(self, config: ClusterConfig) -> Iterator[tuple[str, ET.Element]]:
        """Give the domains with a name and on the network of this lab, and their definitions."""
        (names,) = self.virsh.lists("list --all --name")
        ours = list(filter(machine_names(config.name).fullmatch, names))
        for name, root in self.virsh.definitions(ours).items():
            if _is_on(root, network_name(config.name)):
                yield name, root

    def remove(self, machines: Sequence[LabMachine]) -> None:
        """Remove domains with their snapshots, and the disks that Vagrant made for each."""
        disks: list[str] = []
        for machine in machines:
            root = self.virsh.xml("dumpxml", machine.id)
            if root is None:
                continue
            files = disk_files(root)
            disks += [file for file in files if machine_of(Path(file).name) == machine.name]
            self.virsh.quietly("destroy", machine.id)
            self.virsh.quietly("undefine", machine.id, "--snapshots-metadata", "--managed-save", "--nvram")
        self.storage.delete_disks(disks)

    def remove_left_disks(self, config: ClusterConfig) -> None:
        """Remove the lab's disks without a machine, which keep Vagrant from making that machine."""
        self.storage.delete_left_disks(machine_names(config.name))

    def remove_rest(self, config: ClusterConfig) -> None:
        """Remove the lab's network, disks without a machine, and box images nothing is cloned from."""
        self.remove_left_disks(config)
        self.storage.delete_idle_boxes()
        self._remove_network(config)

    def _remove_network(self, config: ClusterConfig) -> None:
        name = network_name(config.name)
        root = self.virsh.xml("net-dumpxml", name)
        if root is None:
            return
        if not is_own(root, config.name):
            self.report.info(f"the network {name} stays: kubelab did not make it")
            return
        users = [domain.findtext("name", "") for domain in self.virsh.domains() if _is_on(domain, name)]
        if users:
            self.report.info(f"the network {name} stays: {', '.join(users)} is on it")
            return
        self.virsh.quietly("net-destroy", name)
        self.virsh.quietly("net-undefine", name)


def _machine(root: ET.Element) -> LabMachine:
    said = root.findtext("description") or ""
    source = Path(said.removeprefix(_SOURCE)) if said.startswith(_SOURCE) else None
    return LabMachine(root.findtext("name", ""), root.findtext("uuid", ""), source, hostname_of(root))


def _is_on(root: ET.Element, network: str) -> bool:
    """Return whether a domain has a network card on `network`."""
    return (network,) in attributes(root, "devices/interface/source", ["network"])


def _refuse(found: ET.Element, config: ClusterConfig, inventory: Inventory) -> None:
    """Raise ConfigError for a network that is not the lab's, or of another range than lab.yaml has."""
    if not is_own(found, config.name):
        raise ConfigError(
            f"this host has a network {network_name(config.name)} that kubelab did not make",
            key="name",
            hint="choose another name, or remove that network if it is yours",
        )
    if drift := _drift(found, config, inventory):
        key, text = drift
        raise ConfigDrift(
            text,
            key=key,
            hint="a lab cannot move to another network: kubelab destroy, then kubelab up",
        )


def _drift(found: ET.Element, config: ClusterConfig, inventory: Inventory) -> tuple[str, str] | None:
    """Return the key in which a network differs from the one that `config` asks for, and how; else None."""
    present = attributes(found, "ip", ["address", "netmask"])
    wanted = (inventory.gateway, str(config.network.nodes.netmask))
    if present != {wanted}:
        listed = ", ".join("/".join(each) for each in sorted(present)) or "none"
        return "network.nodes", (
            f"the lab's network has {listed}, but {config.network.nodes} needs {'/'.join(wanted)}"
        )
    sizes = {size for (size,) in attributes(found, "mtu", ["size"])}
    if sizes != {str(config.network.mtu)}:
        listed = ", ".join(sorted(sizes)) or "of its own"
        return "network.mtu", f"the lab's network has an MTU {listed}, but lab.yaml has {config.network.mtu}"
    return None


def _hosts(inventory: Inventory) -> set[tuple[str, ...]]:
    return {(node.mac, node.name, str(ipaddress.ip_address(node.ip))) for node in inventory.nodes}
