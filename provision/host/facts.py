"""Facts about the host: CPUs, memory, disk, networks, and hardware virtualisation."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

from provision.errors import LabError, MissingTool
from provision.host import groups
from provision.host.files import cache_dir
from provision.host.process import run_tool

EMULATION_FACTOR = 10.0
_MIB = 2**20
_KVM_CREATE_VM = 0xAE01
_IP_DEADLINE = 10.0
_PROBE_DEADLINE = 30.0
VIRTUALISATION_FLAGS = frozenset({"vmx", "svm"})
_LIBVIRT_IMAGES = Path("/var/lib/libvirt/images")
# A VPN may replace the default route by two halves of the address space: these are no networks either.
_WIDEST_NETWORK = 8


@dataclass(frozen=True, order=True)
class HostNetwork:
    """An address range that the host reaches through the interface `name`."""

    name: str
    cidr: IPv4Network


@dataclass(frozen=True)
class HostFacts:
    """The host as it is now.

    `disk_free_mib` is the lesser of what is free for VM disks and for the cache. `os_id` and `os_codename`
    are those of os-release ("debian", "bookworm"), or the kernel's name ("darwin") and an empty string;
    `os_like` are the systems it is derived from, the nearest first, and the codename is then that of the
    system whose packages it takes. `kvm_present` says that the device is there, `kvm_usable` that it can run
    an ordinary guest, `kvm_busy` that another hypervisor has it. `uplink` is the interface of the default
    route and `mtu` what it takes in a packet, in bytes; where there is none, an empty string and 0.
    """

    cpus: int
    memory_mib: int
    disk_free_mib: int
    networks: tuple[HostNetwork, ...]
    cpu_flags: frozenset[str]
    kvm_present: bool
    kvm_usable: bool
    os_id: str
    os_codename: str
    is_root: bool
    has_systemd: bool
    arch: str
    os_like: tuple[str, ...] = ()
    kvm_busy: bool = False
    uplink: str = ""
    mtu: int = 0


@dataclass(frozen=True)
class Acceleration:
    """How guests run: "kvm" or "tcg" (emulated), and the factor that multiplies every deadline."""

    name: str
    factor: float


def acceleration(facts: HostFacts) -> Acceleration:
    """Return the fastest way in which this host can run a guest."""
    return Acceleration("kvm", 1.0) if facts.kvm_usable else Acceleration("tcg", EMULATION_FACTOR)


def vm_error(device: Path) -> int:
    """Return 0 if the kernel makes an empty VM with `device`, else the error number of what it refuses."""
    try:
        kvm = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        return error.errno or errno.EIO
    try:
        os.close(fcntl.ioctl(kvm, _KVM_CREATE_VM, 0))
    except OSError as error:
        return error.errno or errno.EIO
    finally:
        os.close(kvm)
    return 0


def _vm_error_of_user(device: Path) -> int:
    """Return what `vm_error` says, also in a session older than the user's place in the device's group."""
    found = vm_error(device)
    if found != errno.EACCES or not groups.is_late(groups.KVM):
        return found
    code = "import pathlib, sys; from provision.host.facts import vm_error; "
    code += "print(vm_error(pathlib.Path(sys.argv[1])))"
    try:
        argv = groups.with_group(groups.KVM, [sys.executable, "-c", code, str(device)])
        return int(run_tool(argv, deadline=_PROBE_DEADLINE))
    except (LabError, ValueError):
        return found


def gather(
    *,
    cpuinfo: Path = Path("/proc/cpuinfo"),
    meminfo: Path = Path("/proc/meminfo"),
    os_release: Path = Path("/etc/os-release"),
    systemd: Path = Path("/run/systemd/system"),
    kvm: Path = Path("/dev/kvm"),
    storage: Iterable[Path] = (),
    run: Callable[..., str] = run_tool,
    probe_kvm: Callable[[Path], int] = _vm_error_of_user,
) -> HostFacts:
    """Return the facts of this host; `storage` are the folders whose free space counts.

    Raises ToolFailed when `ip` is there and does not answer, LabError when its answer is not understood.
    """
    flags = _cpu_flags(_read(cpuinfo))
    release = _assignments(_read(os_release))
    links = _links(run)
    # The device proves nothing by itself: without these flags it may make a VM that cannot boot.
    trouble = probe_kvm(kvm) if flags & VIRTUALISATION_FLAGS else errno.ENODEV
    return HostFacts(
        cpus=_cpus(),
        memory_mib=_memory_mib(_read(meminfo)),
        disk_free_mib=min(_free_mib(path) for path in (tuple(storage) or (_LIBVIRT_IMAGES, cache_dir()))),
        networks=links.networks,
        cpu_flags=flags,
        kvm_present=kvm.exists(),
        kvm_usable=trouble == 0,
        os_id=release.get("ID") or platform.system().lower(),
        os_codename=_codename(release),
        is_root=os.geteuid() == 0,
        has_systemd=systemd.is_dir(),
        arch=platform.machine(),
        os_like=tuple(release.get("ID_LIKE", "").split()),
        kvm_busy=trouble == errno.EBUSY,
        uplink=links.uplink,
        mtu=links.mtu,
    )


def _codename(release: Mapping[str, str]) -> str:
    """Return the codename of the system whose packages are installed, where a derived one has its own."""
    names = ("UBUNTU_CODENAME", "DEBIAN_CODENAME", "VERSION_CODENAME")
    return next((release[name] for name in names if release.get(name)), "")


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu_flags(text: str) -> frozenset[str]:
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


def _memory_mib(text: str) -> int:
    for line in text.splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) // 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // _MIB


def _assignments(text: str) -> Mapping[str, str]:
    pairs = (line.partition("=") for line in text.splitlines() if not line.startswith("#"))
    return {key.strip(): value.strip().strip("\"'") for key, _, value in pairs}


def _free_mib(path: Path) -> int:
    existing = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
    return shutil.disk_usage(existing).free // _MIB


@dataclass(frozen=True)
class _Links:
    """The host's networks, and the interface that the default route takes."""

    networks: tuple[HostNetwork, ...] = ()
    uplink: str = ""
    mtu: int = 0


def _links(run: Callable[..., str]) -> _Links:
    """Return what the host's addresses and routes say, or nothing where there is no `ip`."""
    try:
        addresses = run(["ip", "-json", "-4", "addr"], deadline=_IP_DEADLINE)
        routes = run(["ip", "-json", "-4", "route"], deadline=_IP_DEADLINE)
    except MissingTool:
        return _Links()
    try:
        links, ways = json.loads(addresses or "[]"), json.loads(routes or "[]")
        found = {*_address_networks(links), *_route_networks(ways)}
        uplink = _uplink(ways)
        sizes = {link["ifname"]: int(link.get("mtu", 0)) for link in links if "ifname" in link}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LabError(f"`ip` gave an unknown answer: {error}", hint="install a newer iproute2") from error
    return _Links(tuple(sorted(found)), uplink, sizes.get(uplink, 0))


def _uplink(routes: list[dict[str, Any]]) -> str:
    """Return the interface of the way out: a VPN's half of the address space goes before the default."""
    for wanted in ("0.0.0.0/1", "default"):
        ways = [route for route in routes if route["dst"] == wanted and "dev" in route]
        if ways:
            return str(min(ways, key=lambda route: int(route.get("metric", 0)))["dev"])
    return ""


def _address_networks(links: list[dict[str, Any]]) -> Iterator[HostNetwork]:
    for link in links:
        for address in link.get("addr_info", []):
            # Filtered by family, some versions of `ip` leave an empty entry for each that was left out.
            if "local" in address:
                interface = IPv4Interface(f"{address['local']}/{address['prefixlen']}")
                yield HostNetwork(link["ifname"], interface.network)


def _route_networks(routes: list[dict[str, Any]]) -> Iterator[HostNetwork]:
    for route in routes:
        if "dev" not in route or route["dst"] == "default":
            continue
        network = IPv4Network(route["dst"])
        if network.prefixlen >= _WIDEST_NETWORK:
            yield HostNetwork(route["dev"], network)
