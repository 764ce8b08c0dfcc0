"""What every way to a bundle gives: a lab does not care where its Kubernetes comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import threading

    from provision.artifacts.bundle import Bundle
    from provision.artifacts.plan import Planned
    from provision.artifacts.unavailable import Unavailable
    from provision.artifacts.wanted import Wanted
    from provision.report.base import Reporter


class Artifacts(Protocol):
    """Where one version of Kubernetes comes from; `key` stands for everything that goes into its bundle."""

    @property
    def kubernetes(self) -> str:
        """Return the exact version, such as "1.36.3"."""

    @property
    def key(self) -> str:
        """Return the digest that names the bundle; known before it is built."""

    @property
    def kind(self) -> str:
        """Return what lab.yaml calls this way: release, source, mirror or bundle."""

    def has(self, wanted: Wanted) -> bool:
        """Return whether its bundle holds all that is wanted, or will once it is built."""

    def find(self) -> Bundle | None:
        """Return the bundle if it is there with every file's size right, else None; builds nothing."""

    def plan(self) -> list[Planned]:
        """Return what `build` would fetch, as far as it is known before; asks nobody."""

    def build(self, reporter: Reporter, cancel: threading.Event | None = None) -> Bundle:
        """Return the bundle with every file's digest checked, making it first where needed.

        Raises Unavailable where a site does not give its part, and what making it raises.
        """

    def otherwise(self, error: Unavailable) -> OtherWay | None:
        """Return the next way to a bundle after `error`, or None where lab.yaml leaves no other."""


@dataclass(frozen=True)
class OtherWay:
    """The next way to a bundle; `how` is what changes, for people: "with cni: bridge"."""

    artifacts: Artifacts
    how: str
