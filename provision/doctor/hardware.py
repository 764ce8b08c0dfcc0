"""Checks of the machine itself: architecture, system, processor, memory, disk, networks."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from provision.doctor.findings import Answer, Command, bad, good

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from ipaddress import IPv4Network

    from provision.doctor.tools import Host

PYTHON_MINIMUM = (3, 11)
MEMORY_WANTED = 8 * 1024
DISK_WANTED = 20 * 1024
POOL_FOLDER = "/var/lib/libvirt/images"
# What the images of today are compiled for: x86-64-v2.
V2_FLAGS = ("cx16", "popcnt", "sse4_1", "sse4_2", "ssse3")


def probe_arch(host: Host) -> Answer:
    """The machine can run x86-64 guests as fast as it can run any."""
    if host.facts.arch in ("x86_64", "amd64"):
        return good("x86_64")
    return bad(f"{host.facts.arch} is not supported: labs are x86-64 VMs, use an x86-64 machine")


def probe_os(host: Host) -> Answer:
    """The system is one whose packages the doctor knows."""
    if host.facts.os_id in ("debian", "ubuntu"):
        return good(f"{host.facts.os_id} {host.facts.os_codename}")
    return Answer(
        "warn", f"{host.facts.os_id or 'unknown'}: nothing is installed here but on Debian and Ubuntu"
    )


def probe_python(host: Host, version: Sequence[int] = sys.version_info[:3]) -> Answer:
    """Python is new enough."""
    text = ".".join(str(part) for part in version)
    if tuple(version) >= PYTHON_MINIMUM:
        return good(text)
    return bad(f"Python {text} is too old; 3.11 or newer is needed")


def probe_cpu(host: Host) -> Answer:
    """The way guests are run, and whether the processor is up to today's images."""
    if host.emulated:
        closed = host.facts.kvm_present and not host.facts.is_root
        if closed and host.facts.cpu_flags & {"vmx", "svm"}:
            return Answer(
                "warn",
                f"the CPU can virtualise, but {host.user} may not use /dev/kvm: emulation is 10 times slower",
                (Command(("usermod", "-aG", "kvm", host.user)),),
            )
        why = "/dev/kvm cannot be used" if host.facts.kvm_present else "no /dev/kvm"
        return Answer("info", f"none ({why}): emulated (TCG), works, 10 times slower")
    # Emulation has the whole level by itself; only under KVM do guests get this processor's flags.
    missing = [flag for flag in V2_FLAGS if flag not in host.facts.cpu_flags]
    if missing:
        return Answer(
            "warn", f"kvm, but the CPU lacks {' '.join(missing)}: images built for x86-64-v2 will not run"
        )
    return good("kvm")


def probe_memory(host: Host) -> Answer:
    """Memory is enough for a small lab; a lab of a given size is judged by its own preflight."""
    text = f"{host.facts.memory_mib / 1024:.1f} GiB"
    if host.facts.memory_mib >= MEMORY_WANTED:
        return good(text)
    return Answer("warn", f"{text}; a lab of three nodes wants 8 GiB")


def probe_disk(host: Host) -> Answer:
    """The folders that grow, the cache and the storage pool, have room."""
    text = f"{host.facts.disk_free_mib / 1024:.0f} GiB free"
    if host.facts.disk_free_mib >= DISK_WANTED:
        return good(text)
    return Answer("warn", f"{text} for the cache folder or for {POOL_FOLDER}; 20 GiB are recommended")


def network_probe(lab: Sequence[IPv4Network], own: Sequence[str] = ()) -> Callable[[Host], Answer]:
    """Return the probe that no network of the host overlaps with the lab's.

    `own` names the host's bridges that belong to this lab.
    """

    def probe(host: Host) -> Answer:
        clashes = [
            f"{network.name} has {network.cidr}, which overlaps with the lab's {wanted}"
            for network in host.facts.networks
            if network.name not in own
            for wanted in lab
            if network.cidr.overlaps(wanted)
        ]
        if clashes:
            return bad("; ".join(clashes) + ": choose another range under `network` in lab.yaml")
        return good("no overlap with the lab's")

    return probe
