"""Checks of what is installed: the Debian packages, QEMU, and the programs that only some labs need."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from provision.doctor.apt import install, installed, knows_packages, numbers
from provision.doctor.findings import Answer, bad, good
from provision.doctor.systems import OTHERS, family

if TYPE_CHECKING:
    from provision.doctor.tools import Host

# Linux 6.12 guests need cmpxchg16b, which older QEMU emulates wrongly.
QEMU_EMULATED_MINIMUM = (8,)
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
# What these packages are looked for by where packages have other names.
PROGRAMS = (
    *("virsh", "libvirtd", "dnsmasq", "iptables"),
    *("mmdebstrap", "apt-get", "mke2fs", "mkfs.fat", "mcopy", "syslinux", "sfdisk", "ssh"),
)


def probe_qemu(host: Host) -> Answer:
    """QEMU is there, and new enough for the way it is going to be used."""
    if not knows_packages(host):
        return by_programs(host, "qemu-system-x86_64", "qemu-img")
    minimum = QEMU_EMULATED_MINIMUM if host.emulated else ()
    have = installed(host)
    missing = [name for name in QEMU if numbers(have.get(name, "")) < minimum or name not in have]
    if not missing:
        return good(f"QEMU {have[QEMU[0]]}")
    old = have.get(QEMU[0])
    what = f"QEMU {old} crashes emulated guests; 8 or newer is needed" if old else "QEMU is not installed"
    fixes = install(host, missing, minimum)
    if not fixes:
        what += ": this release has none that emulates well; use a newer one, or a host with KVM"
    return bad(what, *fixes)


def probe_packages(host: Host) -> Answer:
    """The packages that drive VMs and build boxes are installed."""
    if not knows_packages(host):
        return by_programs(host, *PROGRAMS)
    have = installed(host)
    missing = [name for name in (*HYPERVISOR, *BOX_BUILDER) if name not in have]
    if not missing:
        return good(f"all {len(HYPERVISOR) + len(BOX_BUILDER)} are installed")
    return bad(f"not installed: {' '.join(missing)}", *install(host, missing))


def by_programs(host: Host, *names: str) -> Answer:
    """Return the answer for a system whose packages have other names: what is missing, and what to type."""
    missing = [name for name in names if host.tools.which(name) is None]
    if not missing:
        return good("all programs are there")
    other = OTHERS.get(family(host.facts))
    line = other.command(missing) if other else ""
    unknown = [name for name in missing if other is None or name not in other.packages]
    where = f"; not packaged, as far as is known here: {' '.join(unknown)}" if line and unknown else ""
    if not line:
        where = ": install them with this system's own tools"
    return Answer("fail", f"not found: {' '.join(missing)}{where}", by_hand=(line,) if line else ())


def probe_skopeo(host: Host) -> Answer:
    """Skopeo is there, which takes images from registries."""
    if not knows_packages(host):
        return by_programs(host, "skopeo")
    if host.tools.which("skopeo"):
        return good("skopeo is there")
    return bad("no skopeo, which takes the images from their registries", *install(host, ["skopeo"]))


def probe_helm(host: Host) -> Answer:
    """Helm is there, which renders Cilium's chart."""
    if host.tools.which("helm"):
        return good("helm is there")
    other = OTHERS.get(family(host.facts))
    line = other.command(["helm"]) if other else "see https://helm.sh/docs/intro/install"
    return Answer("fail", "no helm, which renders Cilium's chart", by_hand=(line,))


def probe_go(host: Host) -> Answer:
    """Go is new enough to build Kubernetes from its modules."""
    if host.tools.which("go"):
        text = host.tools.run(["go", "version"], deadline=30)
        match = re.search(r"\bgo(\d+(?:\.\d+)*)", text)
        if match and numbers(match[1]) >= GO_MINIMUM:
            return good(f"Go {match[1]}")
        what = f"{text.strip()} is older than 1.21; this lab's Kubernetes is built by Go"
    else:
        what = "no Go, which builds this lab's Kubernetes"
    other = OTHERS.get(family(host.facts))
    fixes = install(host, ["golang-go"], GO_MINIMUM)
    if fixes:
        return bad(what, *fixes)
    line = other.command(["go"]) if other else "see https://go.dev/doc/install"
    return Answer("fail", what, by_hand=(line,))
