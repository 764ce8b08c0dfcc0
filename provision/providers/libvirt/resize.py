"""Another size for a machine: its definition, edited. Pure.

`virsh setvcpus` refuses a number that does not fit the topology of sockets and cores, which virsh has no
command to change.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET

KIB_A_MIB = 1024
# Kept as libvirt writes it, for people who look.
ET.register_namespace("qemu", "http://libvirt.org/schemas/domain/qemu/1.0")


def resized(root: ET.Element, *, cpus: int, memory: int) -> str:
    """Return the definition `root` with other CPUs and `memory` (MiB), as XML."""
    for name in ("memory", "currentMemory"):
        element = root.find(name)
        if element is not None:
            element.text = str(memory * KIB_A_MIB)
            element.set("unit", "KiB")
    vcpu = root.find("vcpu")
    if vcpu is not None:
        vcpu.text = str(cpus)
        # How many of them are in use: all.
        vcpu.attrib.pop("current", None)
    for each in root.findall("vcpus"):
        root.remove(each)
    topology = root.find("cpu/topology")
    if topology is not None:
        # One socket, as in the Vagrantfile: with several the guest distrusts its clock.
        topology.attrib.update(dict.fromkeys(topology.attrib, "1") | {"cores": str(cpus)})
    return ET.tostring(root, "unicode")
