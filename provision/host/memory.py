"""Touches the host's free memory before a save needs it (prefaulting).

A host that is itself a virtual machine may get memory from its hypervisor only when it is first touched,
which takes some seconds per GiB, and return it soon after it was freed. A save fills the page cache while the
lab is paused. So the same amount is touched while the lab still runs, and freed just before the save.
"""

from __future__ import annotations

import contextlib
import mmap
import threading
from pathlib import Path
from typing import Self

MIB = 2**20
# Left for other programs.
SPARE_MIB = 512
# Python's other threads are blocked while one chunk is touched.
CHUNK = 2 * MIB
# MADV_POPULATE_WRITE of Linux 5.14 and newer, which the mmap module has no name for.
POPULATE_WRITE = 23
# The limit of a control group and what it uses, of version 2 and 1.
_LIMITS = (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))


def prefaultable_mib(root: Path = Path("/")) -> int:
    """Return how many MiB may be touched without harm; 0 on a host that is not a virtual machine."""
    try:
        if " hypervisor" not in (root / "proc/cpuinfo").read_text():
            return 0
        meminfo = (root / "proc/meminfo").read_text()
    except OSError:
        return 0
    # Not MemAvailable, which includes the page cache that the next restore reads from.
    free = next(
        (int(line.split()[1]) * 1024 for line in meminfo.splitlines() if line.startswith("MemFree:")), 0
    )
    return max(0, min([free, *_group_room(root)]) // MIB - SPARE_MIB)


def _group_room(root: Path) -> list[int]:
    """Return how many bytes each control group above this process has left, where it has a limit."""
    groups = root / "sys/fs/cgroup"
    own = groups
    with contextlib.suppress(OSError):
        lines = (root / "proc/self/cgroup").read_text().splitlines()
        own = groups / next((line[3:] for line in lines if line.startswith("0::")), "").strip("/")
    room = []
    for folder in (own, *own.parents):
        for limit, used in _LIMITS:
            # "max" is no number, and a group without a limit has no such file.
            with contextlib.suppress(OSError, ValueError):
                room.append(int((folder / limit).read_text()) - int((folder / used).read_text()))
        if folder == groups:
            break
    return room


class Prefault:
    """Touches `mib` MiB in the background, until `release` frees them.

    Does nothing if the system refuses the memory. `cancel` stops it.
    """

    def __init__(self, mib: int, cancel: threading.Event) -> None:
        self._cancel = cancel
        self._memory: mmap.mmap | None = None
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._touch, daemon=True)
        if mib > 0:
            with contextlib.suppress(OSError):
                self._memory = mmap.mmap(-1, mib * MIB)

    def __enter__(self) -> Self:
        if self._memory is not None:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        self.release()

    def release(self) -> None:
        """Wait until all memory was touched, and free it."""
        if self._memory is not None:
            self._thread.join()
            self._memory.close()
            self._memory = None

    def _touch(self) -> None:
        memory = self._memory
        assert memory is not None
        with contextlib.suppress(OSError):
            for start in range(0, len(memory), CHUNK):
                if self._cancel.is_set() or self._left.is_set():
                    return
                memory.madvise(POPULATE_WRITE, start, CHUNK)
