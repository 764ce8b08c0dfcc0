"""On which of the host's CPUs each QEMU works while its machine is saved or put back."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

# What lets a QEMU work on every CPU again.
ALL_CPUS = "r"


def host_cpus() -> list[int]:
    """Return the numbers of the CPUs that this process may use, which are the machines' too."""
    return sorted(os.sched_getaffinity(0))


def cpu_of_each(sizes: Mapping[str, int], cpus: Sequence[int]) -> dict[str, int]:
    """Return machine -> CPU, so that all CPUs have about as much memory to copy; the largest come first.

    QEMU copies a machine's memory by two threads in turn, and one of them always waits: a second CPU is of
    no use to it, and waking that one for every piece takes longer than the copying.
    """
    load = dict.fromkeys(cpus, 0)
    chosen = {}
    for machine in sorted(sizes, key=lambda machine: -sizes[machine]):
        cpu = min(cpus, key=lambda cpu: load[cpu])
        chosen[machine] = cpu
        # A machine of unknown size takes its turn too.
        load[cpu] += max(1, sizes[machine])
    return chosen


def resident_kib(memory_statistics: str) -> int:
    """Return the memory that a machine takes of the host by `virsh dommemstat`; 0 when that does not say."""
    words = memory_statistics.split()
    try:
        return int(words[words.index("rss") + 1])
    except (ValueError, IndexError):
        return 0
