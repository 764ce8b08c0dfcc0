"""libvirt and QEMU, for Vagrant's libvirt plugin."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from provision.box.reference import BoxReference
from provision.config.inventory import Inventory, machine_names, network_name
from provision.config.schema import ClusterConfig
from provision.errors import ConfigDrift, ToolFailed
from provision.host.facts import HostFacts
from provision.providers.libvirt.virsh import Virsh, attributes
from provision.providers.vagrantfile import network_xml
from provision.report.base import Reporter

POOL = "default"
UPLOAD_DEADLINE = 900.0
HOST_KEYS = ("mac", "name", "ip")


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

    def states(self, ids: Sequence[str]) -> Mapping[str, str]:
        """Return the state of each machine that exists."""
        return self.virsh.states(ids)

    def resume(self, ids: Sequence[str]) -> None:
        """Let paused machines run on."""
        for machine in ids:
            self.virsh("resume", machine)

    def network_ready(self, config: ClusterConfig, inventory: Inventory) -> bool:
        """Return whether the network is active and hands out exactly the nodes' addresses."""
        name = network_name(config.name)
        (active,) = self.virsh.lists("net-list --name")
        if name not in active:
            return False
        root = self.virsh.xml("net-dumpxml", name)
        if root is None or _drift(root, config, inventory):
            return False
        return attributes(root, "ip/dhcp/host", HOST_KEYS) == _hosts(inventory)

    def refuse_network(self, config: ClusterConfig, inventory: Inventory) -> None:
        """Raise ConfigDrift where the network is there with another range."""
        root = self.virsh.xml("net-dumpxml", network_name(config.name))
        if root is not None:
            _refuse_drift(root, config, inventory)

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
        _refuse_drift(found, config, inventory)
        (active,) = self.virsh.lists("net-list --name")
        scope = ["--config", "--live"] if name in active else ["--config"]
        wanted, present = _hosts(inventory), attributes(found, "ip/dhcp/host", HOST_KEYS)
        for verb, hosts in (("delete", present - wanted), ("add-last", wanted - present)):
            for mac, host, ip in sorted(hosts):
                entry = f"<host mac='{mac}' name='{host}' ip='{ip}'/>"
                self.virsh("net-update", name, verb, "ip-dhcp-host", entry, *scope)

    def has_box(self, box: BoxReference, folder: Path) -> bool:
        """Return whether the whole disk of the box is in the pool: a killed upload leaves a part of it."""
        volume, image = _box_volume(box), folder / "box.img"
        if volume not in self._volumes() or not image.is_file():
            return False
        root = self.virsh.xml("vol-dumpxml", "--pool", POOL, volume)
        return root is not None and root.findtext("physical") == str(image.stat().st_size)

    def upload_box(self, box: BoxReference, folder: Path) -> None:
        """Upload the box's disk into the pool in one stream, under the name the plugin looks for.

        The plugin would do it itself, in small pieces that take several times as long.
        """
        if self.has_box(box, folder):
            return
        volume = _box_volume(box)
        if volume in self._volumes():
            self.virsh("vol-delete", "--pool", POOL, volume)
        self.virsh("vol-create-as", POOL, volume, f"{box.disk}GiB", "--format", "qcow2")
        try:
            image = str(folder / "box.img")
            self.virsh("vol-upload", "--pool", POOL, volume, image, deadline=UPLOAD_DEADLINE)
        except BaseException:
            with contextlib.suppress(ToolFailed):
                Virsh()("vol-delete", "--pool", POOL, volume)
            raise

    def strays(self, config: ClusterConfig, known: Mapping[str, str]) -> list[str]:
        """Return the lab's domains that Vagrant does not know: a killed `vagrant up` leaves such."""
        return [name for name, root in self._domains(config) if root.findtext("uuid") not in known.values()]

    def elsewhere(self, config: ClusterConfig, folder: Path) -> Mapping[str, str]:
        """Return machine -> Vagrantfile of a lab of this name that another folder than `folder` made."""
        here = f"Source: {folder / 'Vagrantfile'}"
        sources = {name: root.findtext("description") or here for name, root in self._domains(config)}
        return {name: source.removeprefix("Source: ") for name, source in sources.items() if source != here}

    def taken(self, config: ClusterConfig, inventory: Inventory, known: Mapping[str, str]) -> list[str]:
        """Return the names that domains of other networks have, but for those that Vagrant began to make."""
        (names,) = self.virsh.lists("list --all --name")
        found = [node.name for node in inventory.nodes if node.name in names]
        ours = {name for name, _ in self._domains(config)} if found else set()
        foreign = {name: self.virsh.xml("dumpxml", name) for name in found if name not in ours}
        return [
            name
            for name, root in foreign.items()
            if root is not None and root.findtext("uuid") not in known.values()
        ]

    def _domains(self, config: ClusterConfig) -> Iterator[tuple[str, ET.Element]]:
        """Give the domains with a name and on the network of this lab, and their definitions."""
        (names,) = self.virsh.lists("list --all --name")
        for name in filter(machine_names(config.name).fullmatch, names):
            root = self.virsh.xml("dumpxml", name)
            if root is None:
                continue
            networks = attributes(root, "devices/interface/source", ["network"])
            if (network_name(config.name),) in networks:
                yield name, root

    def remove(self, names: Sequence[str]) -> None:
        """Remove domains with their snapshots and disks."""
        for name in names:
            self.virsh.quietly("destroy", name)
            self.virsh.quietly("undefine", name, "--snapshots-metadata", "--managed-save", "--nvram")
            self.virsh.quietly("vol-delete", "--pool", POOL, f"{name}.img")

    def remove_rest(self, config: ClusterConfig) -> None:
        """Remove the lab's network, disks without a machine, and box images nothing is cloned from."""
        network = network_name(config.name)
        (domains,) = self.virsh.lists("list --all --name")
        pattern = machine_names(config.name)
        volumes = self._volumes()
        for volume in volumes:
            machine = volume.removesuffix(".img")
            if machine != volume and pattern.fullmatch(machine) and machine not in domains:
                self.virsh.quietly("vol-delete", "--pool", POOL, volume)
        self._remove_idle_boxes()
        if self.virsh.xml("net-dumpxml", network) is not None:
            self.virsh.quietly("net-destroy", network)
            self.virsh.quietly("net-undefine", network)

    def _remove_idle_boxes(self) -> None:
        volumes = self._volumes()
        ours = {name for name in volumes if re.fullmatch(r"kubelab-.+_vagrant_box_image_.+\.img", name)}
        if not ours:
            return
        for name in volumes - ours:
            root = self.virsh.xml("vol-dumpxml", "--pool", POOL, name)
            backing = root.findtext("backingStore/path") if root is not None else None
            ours.discard(Path(backing or "/").name)
        for name in ours:
            self.virsh("vol-delete", "--pool", POOL, name)

    def _volumes(self) -> set[str]:
        self.virsh("pool-refresh", POOL)
        (lines,) = self.virsh.lists(f"vol-list {POOL}")
        # Two columns, three spaces apart: the name of a volume that is not ours may hold a space.
        return {re.split(r" {2,}", line)[0] for line in lines}


def _box_volume(box: BoxReference) -> str:
    return f"{box.name}_vagrant_box_image_{box.version}_box.img"


def _refuse_drift(found: ET.Element, config: ClusterConfig, inventory: Inventory) -> None:
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
