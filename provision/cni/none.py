"""No CNI: nodes stay NotReady until the user installs one."""

from __future__ import annotations

from collections.abc import Mapping

from provision.cluster.kubectl import Kubectl
from provision.cni.base import BuiltIn, Site
from provision.config.cni import CniConfig
from provision.config.inventory import Inventory, Node
from provision.config.schema import ClusterConfig


class NoCni(BuiltIn):
    """Installs nothing."""

    name = "none"

    def __init__(self, settings: CniConfig | None = None) -> None:
        """It has no settings."""

    def node_files(self, config: ClusterConfig, inventory: Inventory, node: Node) -> Mapping[str, str]:
        """Return no files."""
        return {}

    def is_installed(self, kubectl: Kubectl, site: Site) -> bool:
        """Return true: there is nothing to install."""
        return True

    def install(self, kubectl: Kubectl, site: Site) -> None:
        """Do nothing."""
