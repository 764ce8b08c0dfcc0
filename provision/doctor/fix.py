"""Mending: runs what the findings say, one check at a time, and asks each check again."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Protocol

from provision.doctor.checks import CHECKS
from provision.engine.waiting import Clock, RealClock, poll_until
from provision.errors import LabError, ToolFailed
from provision.host.interrupts import interrupts_held

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provision.doctor.findings import Check, Command, Finding
    from provision.doctor.tools import Host

# What is to be run may depend on what an earlier command found out: package lists first, versions then.
ROUNDS = 3
LOCK_WAIT = 300.0

_NOT_PACKAGED = ("Unable to locate package", "has no installation candidate")


class Report(Protocol):
    """The part of a Reporter that mending speaks to."""

    def info(self, text: str) -> None: ...
    def warn(self, text: str) -> None: ...


def fix(
    host: Host, report: Report, checks: Sequence[Check] = CHECKS, clock: Clock | None = None
) -> list[Finding]:
    """Mend what the checks find, in their order, and return what they find afterwards.

    On a host where nothing is wrong nothing is run. Raises LabError naming what is still wrong.
    """
    clock = clock or RealClock()
    findings = []
    for check in checks:
        findings.append(_mend(check, host, report, clock))
        if check.gate and findings[-1].level == "fail":
            break
    wrong = [finding for finding in findings if finding.level == "fail"]
    if wrong:
        lines = "\n".join(
            line
            for finding in wrong
            for line in (f"{finding.title}: {finding.message}", *(f"  {text}" for text in finding.by_hand))
        )
        raise LabError(f"still wrong on this host:\n{lines}", hint="mend these by hand, then: kubelab doctor")
    return findings


def _mend(check: Check, host: Host, report: Report, clock: Clock) -> Finding:
    finding = check.ask(host)
    tried: set[Command] = set()
    for _ in range(ROUNDS):
        if finding.ok or not finding.fixes or tried.issuperset(finding.fixes):
            break
        report.info(f"{finding.title}: {finding.message}")
        start = time.monotonic()
        for command in finding.fixes:
            if host.facts.is_root or not command.root:
                # What goes through sudo is told where it does.
                report.info(command.line(is_root=host.facts.is_root))
            try:
                with interrupts_held() if command.whole else contextlib.nullcontext():
                    _run(command, host, clock)
            except LabError as error:
                if finding.level == "fail":
                    raise
                # What is only recommended must not stop the rest, nor leave a daemon stopped half-way.
                report.warn(f"{finding.title}: {error}")
        tried.update(finding.fixes)
        finding = check.ask(host)
        report.info(f"{finding.title}: {finding.message} ({time.monotonic() - start:.0f} s)")
    return finding


def _run(command: Command, host: Host, clock: Clock) -> None:
    """Run one command; while another apt holds the package lists, wait for it."""

    def attempt() -> bool:
        try:
            host.tools.run(command.argv, deadline=command.deadline, root=command.root, stdin=command.stdin)
        except ToolFailed as error:
            if "Could not get lock" in error.output:
                return False
            if any(sign in error.output for sign in _NOT_PACKAGED):
                raise LabError(
                    f"this release does not package what is needed:\n{error.details}",
                    hint="install it from its own project's site, then: kubelab doctor",
                ) from error
            raise
        return True

    poll_until(
        attempt,
        what=f"the lock that `{command.argv[0]}` needs",
        deadline=LOCK_WAIT,
        clock=clock,
        interval=2.0,
        hint="another apt or dpkg is at work: wait until it is done",
    )
