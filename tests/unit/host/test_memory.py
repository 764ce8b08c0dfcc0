"""The host's memory: how much may be touched before a save, and that it is, and is freed in time."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest

from provision.engine.waiting import RealClock, poll_until
from provision.host import memory
from provision.host.memory import CHUNK, MIB, SPARE_MIB, Prefault, prefaultable_mib

FREE_MIB = 4000
VIRTUAL = "processor : 0\nflags : fpu vme hypervisor lm\n"
STATUS = Path("/proc/self/status")


def host(root: Path, cpuinfo: str = VIRTUAL, group: str = "") -> Path:
    """Return a folder that stands for the root of a host with 4000 MiB free."""
    files = {
        "proc/cpuinfo": cpuinfo,
        "proc/meminfo": f"MemTotal: 9999999 kB\nMemFree: {FREE_MIB * 1024} kB\nMemAvailable: 9000000 kB\n",
        "proc/self/cgroup": group,
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def limit(folder: Path, name: str, used_name: str, mib: int, used: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"{mib * MIB}\n")
    (folder / used_name).write_text(f"{used * MIB}\n")


def test_a_virtual_host_lends_what_is_free_but_for_some(tmp_path: Path) -> None:
    assert prefaultable_mib(host(tmp_path)) == FREE_MIB - SPARE_MIB


def test_a_host_of_iron_has_its_memory_at_hand(tmp_path: Path) -> None:
    assert prefaultable_mib(host(tmp_path, cpuinfo="flags : fpu vmx lm\n")) == 0


def test_a_host_without_proc_is_left_alone(tmp_path: Path) -> None:
    assert prefaultable_mib(tmp_path) == 0


@pytest.mark.parametrize("folder", ["user.slice/a.scope", "user.slice", ""])
def test_a_limit_of_any_group_above_counts(tmp_path: Path, folder: str) -> None:
    root = host(tmp_path, group="1:name=systemd:/x\n0::/user.slice/a.scope\n")
    groups = root / "sys/fs/cgroup"
    (groups / "user.slice/a.scope").mkdir(parents=True)
    (groups / "user.slice/memory.max").write_text("max\n")
    (groups / "user.slice/memory.current").write_text("1\n")
    limit(groups / folder, "memory.max", "memory.current", 3000, 1000)
    assert prefaultable_mib(root) == 2000 - SPARE_MIB


def test_a_limit_of_the_older_kind_counts(tmp_path: Path) -> None:
    root = host(tmp_path, group="4:memory:/x\n")
    folder = root / "sys/fs/cgroup/memory"
    limit(folder, "memory.limit_in_bytes", "memory.usage_in_bytes", 1000, 900)
    assert prefaultable_mib(root) == 0


def resident_mib() -> int:
    found = re.search(r"VmRSS:\s+(\d+) kB", STATUS.read_text())
    assert found
    return int(found[1]) // 1024


@pytest.mark.skipif(not STATUS.exists(), reason="only Linux tells what a process has in memory")
def test_what_is_touched_is_held_until_it_is_needed() -> None:
    before = resident_mib()
    with Prefault(64, threading.Event()) as prefault:
        held = poll_until(
            lambda: resident_mib() >= before + 60,
            what="the memory",
            deadline=30,
            clock=RealClock(),
            interval=0.01,
        )
        prefault.release()
        assert held
        assert resident_mib() < before + 30


class Pages:
    """Memory that knows what was touched; `refuse` stands for a system that has no more, or knows not how."""

    def __init__(self, size: int, refuse: bool = False) -> None:
        self.size, self.refuse, self.closed = size, refuse, False
        self.touched: list[int] = []
        self.first = threading.Event()

    def __len__(self) -> int:
        return self.size

    def madvise(self, advice: int, start: int, length: int) -> None:
        assert not self.closed
        if self.refuse:
            raise OSError(22, "Invalid argument")
        self.touched += range(start, start + length, MIB)
        self.first.set()

    def close(self) -> None:
        self.closed = True


def pages(monkeypatch: pytest.MonkeyPatch, mib: int, *, refuse: bool = False) -> Pages:
    made = Pages(mib * MIB, refuse)
    monkeypatch.setattr("provision.host.memory.mmap.mmap", lambda fd, size: made)
    return made


def test_all_is_touched_before_it_is_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    made = pages(monkeypatch, 10)
    with Prefault(10, threading.Event()) as prefault:
        prefault.release()
        assert made.closed
    assert made.touched == list(range(0, 10 * MIB, MIB))


def test_a_save_given_up_or_failed_touches_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    cancel = threading.Event()
    cancel.set()
    made = pages(monkeypatch, 10)
    with Prefault(10, cancel) as prefault:
        prefault.release()
    assert (made.touched, made.closed) == ([], True)
    made = pages(monkeypatch, 10**9)
    with pytest.raises(RuntimeError), Prefault(10**9, threading.Event()):
        assert made.first.wait(30)
        raise RuntimeError
    assert made.closed
    assert CHUNK // MIB <= len(made.touched) < 10**9


def test_what_the_system_refuses_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    made = pages(monkeypatch, 10, refuse=True)
    with Prefault(10, threading.Event()) as prefault:
        prefault.release()
    assert made.closed

    def none(fd: int, size: int) -> Pages:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr("provision.host.memory.mmap.mmap", none)
    with Prefault(10, threading.Event()) as prefault:
        prefault.release()


def test_nothing_to_touch_starts_nothing() -> None:
    running = threading.active_count()
    with memory.Prefault(0, threading.Event()) as prefault:
        assert threading.active_count() == running
        prefault.release()
