"""What libvirt has of a lab: asked in one call, in two with further disks, and read from its definitions."""

from __future__ import annotations

import contextlib
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path

from provision.config.inventory import bridge_name, disk_serial, network_name
from provision.config.values import MOST_DISKS
from provision.providers.base import Made, Size
from provision.providers.libvirt.storage import POOL, box_of, disk_files, further_volume
from provision.providers.libvirt.virsh import Virsh, attributes

# What Vagrant's plugin calls the cards that it makes.
OF_VAGRANT = "ua-net-"
# What the Vagrantfile writes before a node's name in its machine's definition: systemd reads it at boot.
HOSTNAME = "io.systemd.credential:system.hostname="
KIB_A_MIB, BYTES_A_GIB = 1024, 2**30


def ask(virsh: Virsh, lab: str, ids: Mapping[str, str]) -> Made:
    """Return the sizes of the machines `ids` (name -> id) that exist, and the lab's network."""
    commands = [f"dumpxml {machine}" for machine in ids.values()]
    commands += [f"vol-dumpxml --pool {POOL} {_volume(name)}" for name in ids]
    *found, network = virsh.documents([*commands, f"net-dumpxml {network_name(lab)}"])
    roots = {name: root for name, root in zip(ids, found, strict=False) if root is not None}
    disks, further = dict(zip(ids, found[len(ids) :], strict=True)), _further_disks(virsh, roots)
    machines = {name: _size(name, root, disks[name], further[name]) for name, root in roots.items()}
    hostnames = {name: hostname for name, root in roots.items() if (hostname := hostname_of(root))}
    if network is None or not is_own(network, lab):
        return Made(machines, hostnames=hostnames)
    given = {host.get("name", ""): host.get("ip", "") for host in network.findall("ip/dhcp/host")}
    # It gives addresses to hostnames.
    addresses = {name: given[host] for name in roots if (host := hostnames.get(name, name)) in given}
    return Made(machines, _range(network), _number(network.find("mtu"), "size"), addresses, hostnames)


def is_own(network: ET.Element, lab: str) -> bool:
    """Return whether a network is the one that kubelab makes for `lab`: nobody else calls its bridge so."""
    return attributes(network, "bridge", ["name"]) == {(bridge_name(lab),)}


def hostname_of(root: ET.Element) -> str | None:
    """Return the name that a machine was made with for its node; None where its definition has none."""
    texts = (entry.text or "" for entry in root.findall("sysinfo/oemStrings/entry"))
    return next((text.removeprefix(HOSTNAME) for text in texts if text.startswith(HOSTNAME)), None)


def _further_disks(virsh: Virsh, roots: Mapping[str, ET.Element]) -> dict[str, tuple[int, ...] | None]:
    """Return machine -> the GiB of its further disks, None where one is not known; for none, ask nothing."""
    volumes = {name: _further_volumes(name, root) for name, root in roots.items()}
    asked = [volume for each in volumes.values() for volume in each]
    found = virsh.documents([f"vol-dumpxml --pool {POOL} {volume}" for volume in asked]) if asked else []
    capacities = [_number(root.find("capacity")) if root is not None else None for root in found]
    known = dict(zip(asked, capacities, strict=True))
    return {name: _whole_gib([known[volume] for volume in each]) for name, each in volumes.items()}


def _whole_gib(capacities: Sequence[int | None]) -> tuple[int, ...] | None:
    """Return capacities in GiB; None where one is not known."""
    sizes = tuple(capacity // BYTES_A_GIB for capacity in capacities if capacity)
    return sizes if len(sizes) == len(capacities) else None


def _further_volumes(name: str, root: ET.Element) -> list[str]:
    """Return the volumes that a machine's further disks were made as, in the order of their numbers."""
    serials = {disk.findtext("serial") for disk in root.findall("devices/disk")}
    return [
        further_volume(name, number) for number in range(1, MOST_DISKS + 1) if disk_serial(number) in serials
    ]


def _size(name: str, root: ET.Element, disk: ET.Element | None, further: tuple[int, ...] | None) -> Size:
    cpus = root.find("vcpu")
    # Of a machine that some were taken from, `current` says how many it has.
    vcpus = _number(cpus, "current") or _number(cpus)
    kib = _number(root.find("memory"))
    memory = kib // KIB_A_MIB if kib else None
    gib, box = None, None
    if disk is not None and any(Path(file).name == _volume(name) for file in disk_files(root)):
        capacity = _number(disk.find("capacity"))
        gib = capacity // BYTES_A_GIB if capacity else None
        box = box_of(Path(disk.findtext("backingStore/path") or "").name)
    return Size(vcpus, memory, gib, further, bridge_of(root), box)


def bridge_of(root: ET.Element) -> str:
    """Return the bridge that Vagrant gave a machine a card on; what a user attached does not count."""
    for card in root.iterfind("devices/interface[@type='bridge']"):
        alias, source = card.find("alias"), card.find("source")
        if alias is not None and alias.get("name", "").startswith(OF_VAGRANT) and source is not None:
            return source.get("bridge", "")
    return ""


def _range(network: ET.Element) -> IPv4Network | None:
    found = network.find("ip")
    if found is not None:
        with contextlib.suppress(ValueError):
            return IPv4Interface(f"{found.get('address')}/{found.get('netmask')}").network
    return None


def _number(element: ET.Element | None, attribute: str = "") -> int | None:
    """Return the number in an element, or in its attribute; None without one."""
    if element is None:
        return None
    text = (element.get(attribute) if attribute else element.text) or ""
    return int(text) if text.strip().isdecimal() else None


def _volume(machine: str) -> str:
    """Return the name that Vagrant's plugin gives to a machine's disk in the pool."""
    return f"{machine}.img"
