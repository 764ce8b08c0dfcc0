"""What every provider can do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from provision.config import ClusterConfig
from provision.host import HostFacts
from provision.inventory import Inventory
from provision.render import BoxReference

RUNNING, PAUSED, STOPPED = "running", "paused", "stopped"


class Provider(Protocol):
    """One hypervisor. `ids` are the machine ids that Vagrant keeps, which are the hypervisor's own."""

    @property
    def name(self) -> str:
        """Return the name Vagrant and lab.yaml use."""

    @property
    def parallel(self) -> bool:
        """Return whether Vagrant may start several machines at once."""

    @property
    def builds_boxes(self) -> bool:
        """Return whether kubelab builds boxes for it; without, only its Vagrantfile can be rendered."""

    def preflight(self, facts: HostFacts) -> None:
        """Refuse a host, or a use, that this provider cannot serve; raises LabError."""

    def states(self, ids: Sequence[str]) -> Mapping[str, str]:
        """Return id -> "running", "paused" or "stopped", without the ids that do not exist."""

    def resume(self, ids: Sequence[str]) -> None:
        """Let paused machines run on."""

    def network_ready(self, config: ClusterConfig, inventory: Inventory) -> bool:
        """Return whether the lab's own network is up and knows every node's address."""

    def make_network(self, config: ClusterConfig, inventory: Inventory) -> None:
        """Make the lab's network so; raises ConfigDrift when a living one has another range."""

    def has_box(self, box: BoxReference) -> bool:
        """Return whether the box's disk is where machines are cloned from."""

    def upload_box(self, box: BoxReference, folder: Path) -> None:
        """Put the box's disk where machines are cloned from, unless it is there."""

    def strays(self, config: ClusterConfig, known: Mapping[str, str]) -> list[str]:
        """Return the names of the lab's machines that `known` (node name -> id) does not hold."""

    def remove(self, names: Sequence[str]) -> None:
        """Remove machines and their disks by name."""

    def remove_rest(self, config: ClusterConfig) -> None:
        """Remove what Vagrant leaves of a lab: its network, and disks nothing else uses."""
