"""What the faults on a real host need: things of others, a libvirtd that is killed, a disk that is full."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from provision.engine.waiting import RealClock, poll_until
from provision.providers.libvirt.virsh import Virsh
from tests.e2e.cluster import Cluster

POOL = "default"
POOL_FOLDER = Path("/var/lib/libvirt/images")
# Names that are nearly the lab's own: a machine that is off, and a disk that somebody kept.
MACHINE, DISK = "kubelab-faults-w7-copy", "kubelab-faults-w9.img"
DEFINITION = f"""
<domain type='qemu'>
  <name>{MACHINE}</name><memory unit='MiB'>64</memory>
  <os><type arch='x86_64'>hvm</type></os>
</domain>
"""
DAEMONS = ("libvirtd", "virtqemud")
MIB = 2**20
# The unit of st_blocks, in bytes.
BLOCK = 512


@contextmanager
def others() -> Iterator[None]:
    """Let somebody else have a machine and a disk; fail if they are gone or changed in the end."""
    virsh = Virsh()
    virsh("define", "/dev/stdin", stdin=DEFINITION)
    virsh("vol-create-as", POOL, DISK, "1MiB", "--format", "qcow2")
    try:
        before = _seen(virsh)
        yield
        assert _seen(virsh) == before
    finally:
        virsh.quietly("undefine", MACHINE)
        virsh.quietly("vol-delete", "--pool", POOL, DISK)


def _seen(virsh: Virsh) -> tuple[str, str, str]:
    # The dump of a volume has the times at which it was looked at.
    return virsh("dumpxml", MACHINE), virsh("domstate", MACHINE), virsh("vol-info", "--pool", POOL, DISK)


def kill_libvirtd() -> None:
    """End the daemon that machines are asked for by, without a chance to tidy up."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (folder / "comm").read_text().strip() in DAEMONS:
                os.kill(int(folder.name), signal.SIGKILL)
                return
    raise AssertionError(f"none of {', '.join(DAEMONS)} runs")


@contextmanager
def full_disk(folder: Path = POOL_FOLDER, left_mib: int = 16) -> Iterator[None]:
    """Leave only so much room on the disk of a folder, for as long as this lasts."""
    ballast = folder / "kubelab-faults-ballast"
    try:
        with ballast.open("wb") as file:
            # Others write meanwhile: what was free a moment ago need not be any more.
            while (free := shutil.disk_usage(folder).free) > left_mib * MIB:
                with suppress(OSError):
                    size = os.fstat(file.fileno()).st_blocks * BLOCK
                    os.posix_fallocate(file.fileno(), size, max(MIB, free - left_mib * MIB))
        yield
    finally:
        ballast.unlink(missing_ok=True)


def states(lab: Cluster) -> set[str]:
    """Return in which states the lab's machines are."""
    return set(lab.context.machines.states().values())


def wait_for(lab: Cluster, state: str, seconds: float = 60) -> None:
    """Wait until all machines are in a state."""
    deadline = lab.context.scaled(seconds)
    poll_until(
        lambda: states(lab) == {state}, what=state, deadline=deadline, clock=RealClock(), interval=0.05
    )
