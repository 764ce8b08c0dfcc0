"""One row of the table: which command, in what state of the lab, and what goes wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.faults.kubelab import Refusal


@dataclass(frozen=True)
class Trap:
    """At a call of a program: the `number`-th with `part` in it, `when` it begins or ended."""

    program: str
    part: str
    deeds: tuple[str, ...]
    when: str = "before"
    number: int = 1

    @property
    def fields(self) -> Mapping[str, Any]:
        """Return what the stub programs read."""
        return vars(self)


@dataclass(frozen=True)
class Fault:
    """`words` is the command, `title` what goes wrong, `then` the command that has to mend it.

    `start` names a kept state of the world, `scene` a change of it, `plants` are files (path -> content)
    below the lab's folder. `keeps` are snapshots that must be there in the end. `wall` is by how many seconds
    the clock is ahead, in `words` alone; `before` are commands, each with its own. `mends` is false where
    the user has to decide: then it is told, and nothing of anybody's is touched.
    """

    words: str
    title: str
    then: str
    start: str = "saved"
    trap: Trap | None = None
    screen: str = "file"
    refusal: Refusal | None = None
    free: int = 2**40
    wall: float = 0.0
    before: tuple[tuple[str, float], ...] = ()
    scene: str = ""
    plants: Mapping[str, str] = field(default_factory=dict)
    keeps: tuple[str, ...] = ()
    mends: bool = True

    @property
    def name(self) -> str:
        """Return the words that `make faults ONLY=...` takes."""
        return f"{self.words}: {self.title}"

    @property
    def kills(self) -> bool:
        """Return whether kubelab is ended without a chance to tidy up."""
        return self.trap is not None and "KILL" in self.trap.deeds

    @property
    def signal(self) -> str:
        """Return the signal that kubelab gets, or an empty string."""
        deeds = self.trap.deeds if self.trap is not None else ()
        return next((deed for deed in deeds if deed in ("INT", "TERM", "HUP", "KILL")), "")
