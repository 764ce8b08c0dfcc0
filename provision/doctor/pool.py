"""Check of libvirt's storage pool `default`, which holds the machines' disks, wherever its folder is."""

from __future__ import annotations

import re
import shlex
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

from provision.doctor.findings import Answer, Command, bad, good
from provision.doctor.hardware import DISK_WANTED
from provision.doctor.libvirt import VIRSH
from provision.errors import LabError

if TYPE_CHECKING:
    from provision.doctor.tools import Host

POOL = "default"
FOLDER = "/var/lib/libvirt/images"
# Where another pool has the usual folder: two pools of one folder are refused.
OTHER_FOLDER = "/var/lib/libvirt/kubelab"
# Kinds of pools whose volumes are files, which the machines' disks have to be.
_FILES = ("dir", "fs", "netfs")
_DEADLINE = 90.0


def probe_pool(host: Host) -> Answer:
    """The storage pool `default` is there and active, of files, with room."""
    text = host.tools.run([*VIRSH, "pool-list", "--all"], deadline=_DEADLINE)
    states = dict(re.findall(r"^\s*(\S+)\s+(active|inactive)\s", text, re.MULTILINE))
    start = (Command((*VIRSH, "pool-start", POOL)), Command((*VIRSH, "pool-autostart", POOL)))
    if POOL not in states:
        taken = [name for name in states if _folder(_description(host, name)) == FOLDER]
        target = OTHER_FOLDER if taken else FOLDER
        define = Command((*VIRSH, "pool-define-as", POOL, "dir", "--target", target))
        why = f"; the pool {taken[0]} has {FOLDER}, so it gets {target}" if taken else ""
        return bad(f"there is no storage pool {POOL}{why}", define, _build(), *start)
    pool = _description(host, POOL)
    kind, folder = pool.get("type", "dir"), _folder(pool)
    if kind not in _FILES:
        line = f"virsh -c qemu:///system pool-destroy {POOL} && virsh -c qemu:///system pool-undefine {POOL}"
        return Answer(
            "fail",
            f"the storage pool {POOL} is of the kind `{kind}`, and the machines' disks are files: give it "
            "another name, so that `kubelab doctor --fix` can make one of files",
            by_hand=(f"virsh -c qemu:///system pool-dumpxml {POOL} > pool.xml", line),
        )
    if states[POOL] != "active":
        # Only a folder is made: what else a pool may be built of would be formatted.
        build = (_build(),) if kind == "dir" else ()
        return bad(f"the storage pool {POOL} ({folder}) is inactive", *build, *start)
    return _with_room(pool, folder)


def _with_room(pool: ET.Element, folder: str) -> Answer:
    available = pool.findtext("available") or ""
    mib = int(available) // 2**20 if available.isdigit() else None
    if mib is not None and mib < DISK_WANTED:
        return Answer(
            "warn", f"the pool {POOL} has {mib / 1024:.0f} GiB free in {folder}; 20 GiB are recommended"
        )
    return good(f"the pool {POOL} is active" + (f", in {folder}" if folder not in ("", FOLDER) else ""))


def _build() -> Command:
    return Command((*VIRSH, "pool-build", POOL))


def _description(host: Host, name: str) -> ET.Element:
    """Return what libvirt says of a pool; raises LabError where it is not understood."""
    text = host.tools.run([*VIRSH, "pool-dumpxml", name], deadline=_DEADLINE)
    try:
        return ET.fromstring(text)
    except ET.ParseError as error:
        raise LabError(f"`virsh pool-dumpxml {shlex.quote(name)}` gave an unknown answer: {error}") from None


def _folder(pool: ET.Element) -> str:
    return (pool.findtext("target/path") or "").rstrip("/")
