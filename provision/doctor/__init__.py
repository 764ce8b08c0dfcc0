"""The host doctor: what a lab needs of the machine it runs on, and how to mend it."""

from __future__ import annotations

from provision.doctor.checks import CHECKS, LabNeeds, checks_for, diagnose, essentials, group_checks
from provision.doctor.findings import Check, Command, Finding
from provision.doctor.fix import fix
from provision.doctor.tools import Host, HostTools, Tools

__all__ = [
    "CHECKS",
    "Check",
    "Command",
    "Finding",
    "Host",
    "HostTools",
    "LabNeeds",
    "Tools",
    "checks_for",
    "diagnose",
    "essentials",
    "fix",
    "group_checks",
]
