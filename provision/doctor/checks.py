"""All checks, in the order in which they are asked and mended: each relies on those before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.doctor import hardware, libvirt, packages, qemu_cache
from provision.doctor.findings import Check

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from ipaddress import IPv4Network

    from provision.doctor.findings import Finding
    from provision.doctor.tools import Host

CHECKS: tuple[Check, ...] = (
    Check("arch", "architecture", hardware.probe_arch, gate=True),
    Check("os", "operating system", hardware.probe_os),
    Check("python", "Python", hardware.probe_python, gate=True),
    Check("cpu", "acceleration", hardware.probe_cpu),
    Check("memory", "memory", hardware.probe_memory),
    Check("disk", "disk", hardware.probe_disk),
    Check("qemu", "QEMU", packages.probe_qemu),
    Check("packages", "packages", packages.probe_packages),
    Check("vagrant", "Vagrant", packages.probe_vagrant),
    Check("go", "Go", packages.probe_go, essential=False),
    Check("group", "group libvirt", libvirt.probe_group),
    Check("daemons", "libvirt", libvirt.probe_daemons),
    Check("probe-trap", "QEMU probe cache", qemu_cache.probe),
    Check("pool", "storage pool", libvirt.probe_pool),
)
SKOPEO = Check("skopeo", "skopeo", packages.probe_skopeo, essential=False)


def checks_for(
    lab: Sequence[IPv4Network] = (), own: Sequence[str] = (), *, registries: bool = False
) -> tuple[Check, ...]:
    """Return all checks; with the networks of a lab, also whether the host's overlap with them.

    `registries` says that the lab's images are still to come from their registries.
    """
    checks = (*CHECKS, SKOPEO) if registries else CHECKS
    if not lab:
        return checks
    return (*checks, Check("networks", "host networks", hardware.network_probe(lab, own)))


def group_checks(checks: Sequence[Check]) -> Sequence[Check]:
    """Return the checks up to the one after which the user is in all groups that a lab needs."""
    return checks[: 1 + next(place for place, check in enumerate(checks) if check.id == "group")]


def diagnose(host: Host, checks: Iterable[Check] = CHECKS) -> list[Finding]:
    """Ask every check; changes nothing."""
    return [check.ask(host) for check in checks]


def essentials(host: Host, checks: Iterable[Check] = CHECKS) -> list[Finding]:
    """Ask only what `up` cannot do without and what is answered in a fraction of a second."""
    return diagnose(host, [check for check in checks if check.essential])
