"""Checks of the machine itself: architecture, system, processor, memory, disk."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from provision.doctor.findings import Answer, Command, bad, good
from provision.doctor.systems import DEBIAN, UBUNTU, family
from provision.host.facts import VIRTUALISATION_FLAGS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provision.doctor.tools import Host

PYTHON_MINIMUM = (3, 11)
MEMORY_WANTED = 8 * 1024
DISK_WANTED = 20 * 1024
POOL_FOLDER = "/var/lib/libvirt/images"
# As the kernels call themselves.
NO_LINUX = ("darwin", "windows", "freebsd")
# What the images of today are compiled for: x86-64-v2.
V2_FLAGS = ("cx16", "popcnt", "sse4_1", "sse4_2", "ssse3")


def probe_arch(host: Host) -> Answer:
    """The machine can run x86-64 guests as fast as it can run any."""
    if host.facts.arch in ("x86_64", "amd64"):
        return good("x86_64")
    return bad(f"{host.facts.arch} is not supported: labs are x86-64 VMs, use an x86-64 machine")


def probe_os(host: Host) -> Answer:
    """The system is one that can run libvirt and QEMU, and one whose packages the doctor knows."""
    name = f"{host.facts.os_id} {host.facts.os_codename}".strip() or "unknown"
    if host.facts.os_id in NO_LINUX:
        return bad(f"{name} is not supported: labs are made by libvirt and QEMU, use a Linux machine")
    own = family(host.facts)
    if own in (DEBIAN, UBUNTU):
        return good(name if own == host.facts.os_id else f"{name}, which takes {own.capitalize()}'s packages")
    return Answer(
        "warn", f"{name}: nothing is installed here but on Debian, Ubuntu and what takes their packages"
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
        return _emulated(host)
    # Emulation has the whole level by itself; only under KVM do guests get this processor's flags.
    missing = [flag for flag in V2_FLAGS if flag not in host.facts.cpu_flags]
    if missing:
        return Answer(
            "warn", f"kvm, but the CPU lacks {' '.join(missing)}: images built for x86-64-v2 will not run"
        )
    return good("kvm")


def _emulated(host: Host) -> Answer:
    """Return why there is no hardware virtualisation; where it can be had, with what brings it."""
    if host.facts.kvm_busy:
        return Answer(
            "warn",
            "the CPU can virtualise, but another hypervisor has it, as VirtualBox has while machines run: "
            "emulation is 10 times slower",
            by_hand=("VBoxManage list runningvms", "VBoxManage controlvm NAME acpipowerbutton"),
        )
    if host.facts.kvm_present and not host.facts.is_root and host.facts.cpu_flags & VIRTUALISATION_FLAGS:
        return Answer(
            "warn",
            f"the CPU can virtualise, but {host.user} may not use /dev/kvm: emulation is 10 times slower",
            (Command(("usermod", "-aG", "kvm", host.user)),),
        )
    why = "/dev/kvm cannot be used" if host.facts.kvm_present else "no /dev/kvm"
    return Answer("info", f"none ({why}): emulated (TCG), works, 10 times slower")


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
