"""All checks, in the order in which they are asked and mended: each relies on those before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from provision.doctor import hardware, libvirt, network, packages, pool, qemu_cache
from provision.doctor.findings import Check
from provision.doctor.vagrant import vagrant_probe

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from ipaddress import IPv4Network

    from provision.doctor.findings import Finding
    from provision.doctor.tools import Host

CHECKS: tuple[Check, ...] = (
    Check("arch", "architecture", hardware.probe_arch, gate=True),
    Check("os", "operating system", hardware.probe_os, gate=True),
    Check("python", "Python", hardware.probe_python, gate=True),
    Check("cpu", "acceleration", hardware.probe_cpu),
    Check("memory", "memory", hardware.probe_memory),
    Check("disk", "disk", hardware.probe_disk),
    Check("qemu", "QEMU", packages.probe_qemu),
    Check("packages", "packages", packages.probe_packages),
    Check("vagrant", "Vagrant", vagrant_probe()),
    Check("group", "group libvirt", libvirt.probe_group),
    Check("daemons", "libvirt", libvirt.probe_daemons),
    Check("probe-trap", "QEMU probe cache", qemu_cache.probe),
    Check("pool", "storage pool", pool.probe_pool),
    Check("firewall", "firewall", network.probe_firewall, essential=False),
)
# Asked only where the lab at hand needs it.
TOOLS = {
    "go": Check("go", "Go", packages.probe_go, essential=False),
    "skopeo": Check("skopeo", "skopeo", packages.probe_skopeo, essential=False),
    "helm": Check("helm", "helm", packages.probe_helm),
}


@dataclass(frozen=True)
class LabNeeds:
    """What one lab wants of the host.

    `ranges` are its networks, `own` the host's bridges that belong to it, `mtu` what its machines send in a
    packet, in bytes; `tools` the names in TOOLS that it needs.
    """

    ranges: Sequence[IPv4Network]
    own: Sequence[str]
    mtu: int
    tools: Sequence[str] = ()


def checks_for(lab: LabNeeds | None = None, *, from_hashicorp: bool = False) -> tuple[Check, ...]:
    """Return all checks, with those that `lab` makes meaningful.

    `from_hashicorp` says that Vagrant may come from HashiCorp where the system does not package it.
    """
    checks = list(CHECKS)
    if from_hashicorp:
        place = [check.id for check in checks].index("vagrant")
        checks[place] = Check("vagrant", "Vagrant", vagrant_probe(from_hashicorp=True))
    if lab is None:
        return tuple(checks)
    place = [check.id for check in checks].index("group")
    # Before those behind which the user's groups are new.
    checks[place:place] = [TOOLS[name] for name in lab.tools]
    return (
        *checks,
        Check("networks", "host networks", network.overlap_probe(lab.ranges, lab.own)),
        Check("mtu", "packet size", network.mtu_probe(lab.mtu), essential=False),
    )


def group_checks(checks: Sequence[Check]) -> Sequence[Check]:
    """Return the checks up to the one after which the user is in all groups that a lab needs."""
    return checks[: 1 + next(place for place, check in enumerate(checks) if check.id == "group")]


def diagnose(host: Host, checks: Iterable[Check] = CHECKS) -> list[Finding]:
    """Ask every check, up to the first gate that fails: what is behind it means nothing. Changes nothing."""
    findings = []
    for check in checks:
        findings.append(check.ask(host))
        if check.gate and findings[-1].level == "fail":
            break
    return findings


def essentials(host: Host, checks: Iterable[Check] = CHECKS) -> list[Finding]:
    """Ask only what `up` cannot do without and what is answered in a fraction of a second."""
    return diagnose(host, [check for check in checks if check.essential])
