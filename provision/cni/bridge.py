"""The CNI that needs no image: a bridge on every node, and routes between the nodes.

Every node's pod range follows from its address, so its files are there before it joins and the node
is Ready as soon as its kubelet is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from provision.cluster.kubectl import Kubectl
from provision.cni.base import BuiltIn, Site
from provision.config.cni import CniConfig
from provision.config.inventory import Inventory, Node
from provision.config.schema import ClusterConfig
from provision.templates import environment

CONFLIST = "/etc/cni/net.d/10-kubelab-bridge.conflist"
NETWORK_SCRIPT = "/etc/kubelab/network.sh"


class Bridge(BuiltIn):
    """Bridge, host-local addresses, portmap; pods are masqueraded only where they leave the lab."""

    name = "bridge"

    def __init__(self, settings: CniConfig | None = None) -> None:
        """It has no settings."""

    def node_files(self, config: ClusterConfig, inventory: Inventory, node: Node) -> Mapping[str, str]:
        """Return the node's CNI configuration and the script that makes its routes."""
        template = environment().get_template("templates/cni/bridge.conflist.j2")
        conflist = template.render(node=node, mtu=config.network.mtu)
        script = (
            environment()
            .get_template("templates/cni/network.sh.j2")
            .render(config=config, node=node, others=[other for other in inventory.nodes if other != node])
        )
        return {CONFLIST: conflist, NETWORK_SCRIPT: script}

    def is_installed(self, kubectl: Kubectl, site: Site) -> bool:
        """Return whether every Node object names the pod range its node uses."""
        return not _missing(kubectl, site.inventory)

    def install(self, kubectl: Kubectl, site: Site) -> None:
        """Write each node's pod range into its Node object, for whoever reads it there."""
        for node in _missing(kubectl, site.inventory):
            patch = {"spec": {"podCIDR": node.pod_cidr, "podCIDRs": [node.pod_cidr]}}
            kubectl("patch", "node", node.name, "-p", json.dumps(patch))


def _missing(kubectl: Kubectl, inventory: Inventory) -> list[Node]:
    ranges = {item["metadata"]["name"]: item["spec"].get("podCIDR") for item in kubectl.items("nodes")}
    return [node for node in inventory.nodes if ranges.get(node.name) != node.pod_cidr]
