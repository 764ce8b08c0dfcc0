"""Addresses for Services of the type LoadBalancer: out of the node range, so that the host reaches them."""

from __future__ import annotations

import json

from provision.addons.base import Plain, Site
from provision.artifacts.source.programs import Programs, shipped
from provision.cluster.health import Object
from provision.cluster.kubectl import Kubectl
from provision.config.addons import KEY
from provision.config.addresses import balanced_ranges
from provision.config.schema import ClusterConfig
from provision.errors import ConfigError

MODULE = "go.universe.tf/metallb"
# Kind -> plural and version of what the programs ask for, whether the lab uses it or not.
KINDS = {
    "BFDProfile": ("bfdprofiles", "v1beta1"),
    "BGPAdvertisement": ("bgpadvertisements", "v1beta1"),
    "BGPPeer": ("bgppeers", "v1beta2"),
    "Community": ("communities", "v1beta1"),
    "IPAddressPool": ("ipaddresspools", "v1beta1"),
    "L2Advertisement": ("l2advertisements", "v1beta1"),
    "ServiceBGPStatus": ("servicebgpstatuses", "v1beta1"),
    "ServiceL2Status": ("servicel2statuses", "v1beta1"),
}
# On a Service that has an address of it.
SERVED = "metallb.io/ip-allocated-from-pool"


class LoadBalancer(Plain):
    """MetalLB by layer 2: one node answers ARP for an address, and another one once that is gone."""

    name = "loadbalancer"
    title = "addresses that the host reaches, for Services of the type LoadBalancer"

    def programs(self) -> Programs:
        """Return the controller, which gives addresses, and the speaker, which answers for them."""
        images = {name: f"quay.io/metallb/{name}" for name in ("controller", "speaker")}
        return shipped("metallb", MODULE, images)

    def check(self, config: ClusterConfig) -> None:
        """Raise ConfigError where no address is left, or every node would answer for all of them."""
        if not _ranges(config):
            raise ConfigError(
                f"loadbalancer has no free address in network.nodes ({config.network.nodes});"
                " allowed: a range of /25 or wider",
                key=KEY,
                hint=f"widen network.nodes before the lab is made, or leave {self.name} out",
            )
        strict = (config.kube_proxy.get("ipvs") or {}).get("strictARP")
        if config.proxy_mode == "ipvs" and strict is not True:
            raise ConfigError(
                "loadbalancer with kubeProxy.mode: ipvs needs kubeProxy.ipvs.strictARP: true;"
                " without it every node answers for every address",
                key=KEY,
                hint="kubeProxy: {mode: ipvs, ipvs: {strictARP: true}}",
            )

    def documents(self, site: Site) -> list[Object]:
        """Return the objects, with the addresses that no node of the lab has."""
        return self.render(site, kinds=KINDS, ranges=_ranges(site.config))

    def leave(self, kubectl: Kubectl) -> None:
        """Take the addresses out of the Services that have one, which nothing answers for any more."""
        for service in kubectl.items("services", "--all-namespaces"):
            metadata = service["metadata"]
            if SERVED in (metadata.get("annotations") or {}):
                where = ("service", metadata["name"], f"--namespace={metadata['namespace']}", "--type=merge")
                status = json.dumps({"status": {"loadBalancer": {"ingress": None}}})
                kubectl("patch", *where, "--subresource=status", f"--patch={status}")
                mark = json.dumps({"metadata": {"annotations": {SERVED: None}}})
                kubectl("patch", *where, f"--patch={mark}")


def _ranges(config: ClusterConfig) -> list[str]:
    own = [node.address for node in config.nodes.values() if node.address is not None]
    return balanced_ranges(config.network.nodes, own)
