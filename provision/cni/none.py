"""No CNI: nodes stay NotReady until the user installs one."""

from __future__ import annotations

from collections.abc import Mapping

from provision.config import ClusterConfig
from provision.inventory import Inventory, Node
from provision.kubectl import Kubectl


class NoCni:
    """Installs nothing."""

    name = "none"

    def node_files(self, config: ClusterConfig, inventory: Inventory, node: Node) -> Mapping[str, str]:
        """Return no files."""
        return {}

    def is_installed(self, kubectl: Kubectl, inventory: Inventory) -> bool:
        """Return true: there is nothing to install."""
        return True

    def install(self, kubectl: Kubectl, inventory: Inventory) -> None:
        """Do nothing."""
