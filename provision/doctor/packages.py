"""Checks of what is installed: the Debian packages, QEMU, Vagrant and Go."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from provision.doctor.apt import install, installed, knows_packages, numbers
from provision.doctor.findings import Answer, Command, bad, good

if TYPE_CHECKING:
    from provision.doctor.tools import Host

# Linux 6.12 guests need cmpxchg16b, which older QEMU emulates wrongly.
QEMU_EMULATED_MINIMUM = (8,)
VAGRANT_MINIMUM = (2, 3)
GO_MINIMUM = (1, 21)

QEMU = ("qemu-system-x86", "qemu-utils")
HYPERVISOR = (
    "libvirt-daemon-system",
    "libvirt-daemon-driver-qemu",
    "libvirt-clients",
    "dnsmasq-base",
    "iptables",
    "iproute2",
    "dbus",
)
BOX_BUILDER = (
    "mmdebstrap",
    "debian-archive-keyring",
    "e2fsprogs",
    "dosfstools",
    "mtools",
    "syslinux",
    "syslinux-common",
    "fdisk",
    "util-linux",
    "openssh-client",
)
VAGRANT = ("vagrant", "vagrant-libvirt")


def probe_qemu(host: Host) -> Answer:
    """QEMU is there, and new enough for the way it is going to be used."""
    if not knows_packages(host):
        return _by_programs(host, "qemu-system-x86_64", "qemu-img")
    minimum = QEMU_EMULATED_MINIMUM if host.emulated else ()
    have = installed(host)
    missing = [name for name in QEMU if numbers(have.get(name, "")) < minimum or name not in have]
    if not missing:
        return good(f"QEMU {have[QEMU[0]]}")
    old = have.get(QEMU[0])
    what = f"QEMU {old} crashes emulated guests; 8 or newer is needed" if old else "QEMU is not installed"
    return bad(what, *install(host, missing, minimum))


def probe_packages(host: Host) -> Answer:
    """The packages that drive VMs and build boxes are installed."""
    if not knows_packages(host):
        return _by_programs(host, "virsh", "dnsmasq", "iptables", "mmdebstrap", "mtools", "sfdisk")
    have = installed(host)
    missing = [name for name in (*HYPERVISOR, *BOX_BUILDER) if name not in have]
    if not missing:
        return good(f"all {len(HYPERVISOR) + len(BOX_BUILDER)} are installed")
    return bad(f"not installed: {' '.join(missing)}", *install(host, missing))


def probe_vagrant(host: Host) -> Answer:
    """Vagrant and its libvirt plugin are there, from the distribution or the user's own."""
    have = installed(host) if knows_packages(host) else {}
    program = host.tools.which("vagrant")
    if program is None:
        missing = [name for name in VAGRANT if name not in have]
        return bad("Vagrant is not installed", *install(host, missing))
    if "vagrant-libvirt" in have and str(Path(program).resolve()) == "/usr/bin/vagrant":
        version, plugin = have.get("vagrant", ""), have["vagrant-libvirt"]
    else:
        # Not the distribution's Vagrant: it sees only the plugins in the user's own folder.
        version = host.tools.run(["vagrant", "--version"], deadline=60).strip()
        plugin = _own_plugin(host)
    if numbers(version) < VAGRANT_MINIMUM:
        return bad(f"{version} is too old; 2.3 or newer is needed: install a newer Vagrant")
    if not plugin:
        if "vagrant" in have and "dfsg" in have["vagrant"]:
            return bad("the plugin vagrant-libvirt is missing", *install(host, ["vagrant-libvirt"]))
        return bad(
            "the plugin vagrant-libvirt is missing",
            Command(("vagrant", "plugin", "install", "vagrant-libvirt"), deadline=1800, root=False),
        )
    return good(f"Vagrant {version.removeprefix('Vagrant ')}, vagrant-libvirt {plugin}")


def _by_programs(host: Host, *names: str) -> Answer:
    """Return the answer for a system whose packages have other names: what is missing, nothing to run."""
    missing = [name for name in names if host.tools.which(name) is None]
    if missing:
        return bad(f"not found: {' '.join(missing)}: install them with this system's own tools")
    return good("all programs are there")


def _own_plugin(host: Host) -> str:
    try:
        plugins = json.loads((host.home / ".vagrant.d" / "plugins.json").read_text())["installed"]
        return str(plugins["vagrant-libvirt"].get("gem_version") or "of the user's own")
    except (OSError, ValueError, KeyError):
        return ""


def probe_skopeo(host: Host) -> Answer:
    """Skopeo is there, which takes images from registries."""
    if host.tools.which("skopeo"):
        return good("skopeo is there")
    return bad("no skopeo, which takes the images from their registries", *install(host, ["skopeo"]))


def probe_go(host: Host) -> Answer:
    """Go is new enough to build Kubernetes from its modules."""
    what = "only needed to build Kubernetes from source"
    if host.tools.which("go"):
        text = host.tools.run(["go", "version"], deadline=30)
        match = re.search(r"\bgo(\d+(?:\.\d+)*)", text)
        if match and numbers(match[1]) >= GO_MINIMUM:
            return good(f"Go {match[1]}")
        what = f"{text.strip()} is older than 1.21; {what}"
    else:
        what = f"no Go; {what}"
    return Answer("warn", what, install(host, ["golang-go"], GO_MINIMUM))
