"""Machines in memory with their snapshots."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from provision.errors import LabError
from provision.providers.base import PAUSED, RUNNING, STOPPED, Held, Space


@dataclass
class FakeVm:
    """A machine in memory: `disk` stands for all that a snapshot keeps, `held` for its snapshots."""

    state: str = RUNNING
    disk: str = "now"
    held: dict[str, tuple[str, bool]] = field(default_factory=dict)
    current: str | None = None


class FakeBackend:
    """Snapshots in memory; `before` and `after` are told of every call, and may raise."""

    def __init__(self) -> None:
        self.vms: dict[str, FakeVm] = {}
        self.calls: list[str] = []
        self.folder = Path("/")
        self.before: Callable[[str], None] = lambda call: None
        self.after: Callable[[str], None] = lambda call: None
        self.unfit: LabError | None = None
        self.moment = 0.0
        self.lock = threading.RLock()

    def states(self, ids: Sequence[str]) -> Mapping[str, str]:
        with self._call("states"):
            return {machine: self.vms[machine].state for machine in ids if machine in self.vms}

    def can_save(self, ids: Sequence[str]) -> None:
        with self._call("can_save"):
            if self.unfit is not None:
                raise self.unfit

    def space(self, ids: Sequence[str]) -> Mapping[str, Space]:
        with self._call("space"):
            return {machine: Space(self.folder, 1000 * len(self.vms[machine].held)) for machine in ids}

    def pause(self, ids: Sequence[str]) -> Mapping[str, float]:
        moments = {}
        for machine in ids:
            with self._call(f"pause {machine}"):
                assert self.vms[machine].state == RUNNING
                self.vms[machine].state = PAUSED
                self.moment += 0.004
                moments[machine] = self.moment
        return moments

    def save(self, machine: str, name: str) -> None:
        with self._call(f"save {machine}"):
            vm = self.vms[machine]
            assert vm.state != RUNNING
            assert name not in vm.held
            vm.held[name] = (vm.disk, vm.state == PAUSED)
            vm.current = name

    def revert(self, machine: str, name: str, *, live: bool) -> None:
        with self._call(f"revert {machine}"):
            vm = self.vms[machine]
            vm.disk, memory = vm.held[name]
            assert memory == live
            # In place: a machine that runs is at another point in time by now, and runs on.
            if not live or vm.state != RUNNING:
                vm.state = PAUSED if live else STOPPED
            vm.current = name

    def resume(self, ids: Sequence[str]) -> None:
        for machine in ids:
            with self._call(f"resume {machine}"):
                assert self.vms[machine].state == PAUSED
                self.vms[machine].state = RUNNING

    def delete(self, machine: str, name: str) -> None:
        with self._call(f"delete {machine}"):
            vm = self.vms[machine]
            del vm.held[name]
            if vm.current == name:
                vm.current = None

    def forget(self, ids: Sequence[str]) -> None:
        for machine in self.states(ids):
            with self._call(f"forget {machine}"):
                self.vms[machine].held.clear()

    def list(self, ids: Sequence[str]) -> Mapping[str, Held]:
        with self._call("list"):
            return {
                machine: Held(tuple(self.vms[machine].held), self.vms[machine].current) for machine in ids
            }

    @contextlib.contextmanager
    def _call(self, call: str) -> Iterator[None]:
        with self.lock:
            self.calls.append(call)
            self.before(call)
            yield
            self.after(call)
