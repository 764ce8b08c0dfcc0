"""Snapshots of VirtualBox, machine by machine through VBoxManage.

A snapshot of a paused machine holds its memory. To go back, a machine has to be off; it is then "saved",
and runs on from there when it is started.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event
from typing import TypeVar

from provision.engine.parallel import on_all
from provision.engine.waiting import Clock, RealClock, poll_until
from provision.errors import MachineBusy, SnapshotError, ToolFailed
from provision.providers.base import PAUSED, RUNNING, Held, Space
from provision.providers.virtualbox.vboxmanage import VBoxManage

UNLOCK_SECONDS = 30.0
NO_SNAPSHOTS = "does not have any snapshots"

T = TypeVar("T")


@dataclass(frozen=True)
class _Machine:
    name: str


@dataclass(frozen=True)
class VirtualBoxSnapshots:
    """Snapshots by VBoxManage."""

    cancel: Event
    clock: Clock = field(default_factory=RealClock)

    @property
    def vbox(self) -> VBoxManage:
        return VBoxManage(self.cancel)

    def states(self, ids: Sequence[str]) -> Mapping[str, str]:
        """Return the state of each machine that exists."""
        return self.vbox.states(ids)

    def can_save(self, ids: Sequence[str]) -> None:
        """Raise SnapshotError for a machine that does not exist: VirtualBox can save all others."""
        for machine in ids:
            self._info(machine)

    def space(self, ids: Sequence[str]) -> Mapping[str, Space]:
        """Return the folder of each machine, where its disks and snapshots are, and the size of its files."""
        found = {}
        for machine in ids:
            folder = Path(self._info(machine)["CfgFile"]).parent
            found[machine] = Space(folder, sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()))
        return found

    def pause(self, ids: Sequence[str]) -> Mapping[str, float]:
        """Pause all machines at once."""

        def pause(machine: str) -> float:
            self.vbox.copy("controlvm", machine, "pause")
            return time.monotonic()

        return self._at_once(ids, pause)

    def save(self, machine: str, name: str) -> None:
        """Take a snapshot; a paused machine stays paused."""
        self.vbox.copy("snapshot", machine, "take", name)

    def revert(self, machine: str, name: str, *, live: bool) -> None:
        """Power a machine off and put it back; a `live` snapshot leaves it "saved"."""
        if self.states([machine]).get(machine) in (RUNNING, PAUSED):
            self.vbox.copy("controlvm", machine, "poweroff")
        poll_until(
            partial(self._unlocked, "snapshot", machine, "restore", name),
            what=f"the end of {machine}",
            deadline=UNLOCK_SECONDS,
            clock=self.clock,
            interval=0.5,
            # A machine stays locked for a moment after it was powered off.
            errors=MachineBusy,
        )

    def resume(self, ids: Sequence[str]) -> None:
        """Let paused machines run on, and start those that were put back."""

        def resume(machine: str) -> None:
            if self._info(machine)["VMState"] == PAUSED:
                self.vbox.copy("controlvm", machine, "resume")
            else:
                self.vbox.copy("startvm", machine, "--type", "headless")

        self._at_once(ids, resume)

    def delete(self, machine: str, name: str) -> None:
        """Delete a snapshot; VirtualBox refuses one with several children."""
        self.vbox.copy("snapshot", machine, "delete", name)

    def forget(self, ids: Sequence[str]) -> None:
        """Do nothing: a machine's snapshots go with it."""

    def list(self, ids: Sequence[str]) -> Mapping[str, Held]:
        """Return each machine's snapshots."""
        return {machine: self._held(machine) for machine in ids}

    def _held(self, machine: str) -> Held:
        try:
            text = self.vbox("snapshot", machine, "list", "--machinereadable")
        except ToolFailed as error:
            # With none VBoxManage says so, and calls it a failure.
            if NO_SNAPSHOTS in error.output:
                return Held(())
            raise
        pairs = [line.partition("=") for line in text.splitlines()]
        names = [value.strip('"') for key, _, value in pairs if key.split("-")[0] == "SnapshotName"]
        current = next((value.strip('"') for key, _, value in pairs if key == "CurrentSnapshotName"), None)
        return Held(tuple(names), current)

    def _info(self, machine: str) -> Mapping[str, str]:
        info = self.vbox.info(machine)
        if info is None:
            raise SnapshotError(f"VirtualBox has no machine {machine}", hint="kubelab status")
        return info

    def _unlocked(self, *arguments: str) -> bool:
        self.vbox.copy(*arguments)
        return True

    def _at_once(self, ids: Sequence[str], work: Callable[[str], T]) -> Mapping[str, T]:
        return on_all([_Machine(machine) for machine in ids], lambda each: work(each.name), self.cancel)
