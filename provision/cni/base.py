"""What every CNI gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from provision.config import ClusterConfig
from provision.inventory import Inventory, Node
from provision.kubectl import Kubectl


class Cni(Protocol):
    """A pod network."""

    name: str

    def node_files(self, config: ClusterConfig, inventory: Inventory, node: Node) -> Mapping[str, str]:
        """Return path -> content of the files a node needs before it joins."""

    def is_installed(self, kubectl: Kubectl, inventory: Inventory) -> bool:
        """Return whether the cluster has everything this CNI puts into it."""

    def install(self, kubectl: Kubectl, inventory: Inventory) -> None:
        """Put it there."""
