"""Which family of systems a host is of: Mint takes Ubuntu's packages, Kali Debian's.

On Debian's and Ubuntu's families the doctor installs packages itself. For the others it knows what their
packages are called, and says what to type; whether a whole lab can be made there nobody has tried.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from provision.host.facts import HostFacts

DEBIAN, UBUNTU, FEDORA, SUSE, ARCH = "debian", "ubuntu", "fedora", "suse", "arch"
_FAMILIES = {
    "debian": DEBIAN,
    "ubuntu": UBUNTU,
    "fedora": FEDORA,
    "rhel": FEDORA,
    "centos": FEDORA,
    "suse": SUSE,
    "opensuse": SUSE,
    "arch": ARCH,
}


@dataclass(frozen=True)
class System:
    """A system on which nothing is installed by the doctor: the command to type, and program -> package."""

    install: str
    packages: Mapping[str, str]

    def command(self, programs: Iterable[str]) -> str:
        """Return the command that installs what holds `programs`; an empty text if none is packaged."""
        names = dict.fromkeys(self.packages[name] for name in programs if name in self.packages)
        return f"{self.install} {' '.join(names)}" if names else ""


# The same name nearly everywhere.
_COMMON = {
    "dnsmasq": "dnsmasq",
    "mke2fs": "e2fsprogs",
    "mkfs.fat": "dosfstools",
    "mcopy": "mtools",
    "syslinux": "syslinux",
    "sfdisk": "util-linux",
    "skopeo": "skopeo",
    "helm": "helm",
}
OTHERS = {
    FEDORA: System(
        "sudo dnf install",
        {
            **_COMMON,
            "qemu-system-x86_64": "qemu-system-x86-core",
            "qemu-img": "qemu-img",
            "virsh": "libvirt-client",
            "libvirtd": "libvirt-daemon-kvm",
            "iptables": "iptables-nft",
            "mmdebstrap": "mmdebstrap",
            "apt-get": "apt",
            "ssh": "openssh-clients",
            "vagrant": "vagrant-libvirt",
            "go": "golang",
        },
    ),
    SUSE: System(
        "sudo zypper install",
        {
            **_COMMON,
            "qemu-system-x86_64": "qemu-x86",
            "qemu-img": "qemu-img",
            "virsh": "libvirt-client",
            "libvirtd": "libvirt-daemon-qemu",
            "iptables": "iptables",
            "ssh": "openssh-clients",
            "vagrant": "vagrant-libvirt",
            "go": "go",
        },
    ),
    ARCH: System(
        "sudo pacman -S",
        {
            **_COMMON,
            "qemu-system-x86_64": "qemu-base",
            "qemu-img": "qemu-img",
            "virsh": "libvirt",
            "libvirtd": "libvirt",
            "iptables": "iptables-nft",
            "ssh": "openssh",
            "go": "go",
        },
    ),
}


def family(facts: HostFacts) -> str:
    """Return whose packages a host takes, or an empty text where nobody's that are known here."""
    for name in (facts.os_id, *facts.os_like):
        # openSUSE's names have its edition in them.
        known = _FAMILIES.get(name.partition("-")[0])
        if known:
            return known
    return ""
