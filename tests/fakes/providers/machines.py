"""Machines in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from provision.box.reference import BoxReference
from provision.errors import LabError
from provision.providers.base import RUNNING
from tests.fakes.providers.ids import id_of


class FakeMachines:
    """Machines in memory: `up` makes and starts all of `names`; `calls` lists what was done.

    `own` is node name -> machine name of the nodes that are not called as their machines.
    """

    def __init__(
        self,
        names: Iterable[str] = (),
        *,
        running: Iterable[str] = (),
        own: Mapping[str, str] | None = None,
    ) -> None:
        self.names = list(names)
        self.own = dict(own or {})
        self.known: dict[str, str] = {}
        self.state: dict[str, str] = {}
        self.boxes: set[str] = set()
        self.calls: list[str] = []
        self.failure: LabError | None = None
        for name in running:
            self.make(name)

    def make(self, name: str, state: str = RUNNING) -> None:
        """Make the machine of the node `name` with an id of its own."""
        self.known[name] = id_of(self.own.get(name, name))
        self.state[name] = state

    def ids(self) -> Mapping[str, str]:
        return dict(self.known)

    def known_ids(self) -> Mapping[str, str]:
        return {self.own.get(name, name): machine for name, machine in self.known.items()}

    def states(self) -> Mapping[str, str]:
        return dict(self.state)

    def up(self) -> None:
        self._called("up")
        for name in self.names:
            self.make(name)

    def box_folder(self, box: BoxReference) -> Path:
        return Path("/no/such/folder") / box.name

    def add_box(self, box: BoxReference) -> None:
        self._called(f"add_box {box.name}")
        self.boxes.add(box.name)

    def destroy(self, *names: str) -> None:
        self._called(" ".join(["destroy", *names]))
        by_machine = {machine: name for name, machine in self.own.items()}
        for name in [by_machine.get(name, name) for name in names] or list(self.known):
            self.known.pop(name, None)
            self.state.pop(name, None)

    def _called(self, what: str) -> None:
        self.calls.append(what)
        if self.failure is not None:
            raise self.failure
