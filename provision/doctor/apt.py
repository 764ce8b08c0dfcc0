"""Debian's package tools: what is installed, and the commands which install what is not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from provision.doctor.apt_sources import source_of, sources
from provision.doctor.findings import Command
from provision.doctor.systems import DEBIAN, UBUNTU, family
from provision.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provision.doctor.tools import Host

BACKPORTS_FILE = "/etc/apt/sources.list.d/kubelab-backports.sources"

_LOCK = ("-o", "DPkg::Lock::Timeout=300")
_INSTALL = (
    *("env", "DEBIAN_FRONTEND=noninteractive"),
    # On a host with another QEMU than Debian's, apt might remove that, and what needs it.
    *("apt-get", "install", "-y", "--no-install-recommends", "--no-remove", *_LOCK),
)
_UPDATE = Command(("apt-get", "update", *_LOCK), deadline=600)
_INSTALL_DEADLINE = 3600.0
_COLUMNS = 3


def knows_packages(host: Host) -> bool:
    """Return whether the host's packages have the names that are written here."""
    return family(host.facts) in (DEBIAN, UBUNTU)


def numbers(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version: "1:10.0.2+ds-2" -> (10, 0, 2)."""
    match = re.search(r"(?:\d+:)?(\d+(?:\.\d+)*)", version)
    return tuple(int(part) for part in match[1].split(".")) if match else ()


def installed(host: Host) -> dict[str, str]:
    """Return name -> version of every package that is installed."""
    text = host.tools.run(
        ["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package} ${Version}\\n"], deadline=30
    )
    rows = (line.split() for line in text.splitlines())
    return {row[1]: row[2] for row in rows if len(row) == _COLUMNS and row[0] == "installed"}


def install(host: Host, names: Sequence[str], minimum: tuple[int, ...] = ()) -> tuple[Command, ...]:
    """Return the commands that install `names`; none on a system whose packages are not known.

    Where the release's own version of the first is older than `minimum`, all come from Debian's backports;
    none where there are no such backports.
    """
    if not knows_packages(host):
        return ()
    own = Command((*_INSTALL, *names), _INSTALL_DEADLINE)
    if not minimum:
        return (_UPDATE, own)
    offered = _offered(host, names[0])
    if not offered:
        # Package lists never fetched: nothing can be said about versions before they are.
        return (_UPDATE,)
    if max(offered) >= minimum:
        return (_UPDATE, own)
    if source_of(host.facts.os_codename, sources(host.path("/etc/apt"))) is None or not _has_backports(host):
        return ()
    suite = f"{host.facts.os_codename}-backports"
    backport = Command((*_INSTALL, "-t", suite, *names), _INSTALL_DEADLINE)
    return (*_add_suite(host, suite), _UPDATE, backport)


def _add_suite(host: Host, suite: str) -> tuple[Command, ...]:
    """Return the command that adds `suite` to the machine's own source, unless it is there."""
    known = sources(host.path("/etc/apt"))
    own = source_of(host.facts.os_codename, known)
    if own is None or source_of(suite, known):
        return ()
    # An address may hold a password.
    mode = "600" if "@" in own.uris else "644"
    argv = ("install", "-m", mode, "/dev/stdin", str(host.path(BACKPORTS_FILE)))
    return (Command(argv, stdin=own.with_suite(suite)),)


def _has_backports(host: Host) -> bool:
    """Return whether backports bring newer versions: Ubuntu's have hardly any."""
    return family(host.facts) == DEBIAN


def is_packaged(host: Host, name: str) -> bool:
    """Return whether the release offers `name`; where package lists were never fetched it is taken to."""
    return bool(_offered(host, name)) or not _offered(host, "apt")


def _offered(host: Host, name: str) -> list[tuple[int, ...]]:
    """Return the versions of `name` that the release itself offers, backports aside."""
    try:
        text = host.tools.run(["apt-cache", "madison", name], deadline=60)
    except LabError:
        return []
    rows = [[cell.strip() for cell in line.split("|")] for line in text.splitlines()]
    return [numbers(row[1]) for row in rows if len(row) == _COLUMNS and "-backports" not in row[2]]
