"""Calico from its published manifest: routes and policies by Felix, addresses by its own IPAM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import ClassVar

from provision.artifacts.bundle import Bundle
from provision.cni.base import Site
from provision.cni.calico_probes import ask_felix_only
from provision.cni.documents import Document, changeable, container, find, set_env, slow_probes
from provision.cni.manifest import ManifestCni, required_file

URL = "https://raw.githubusercontent.com/projectcalico/calico/{version}/manifests/calico.yaml"
DEFAULT = "vxlan"
# encapsulation -> what carries the routes, CALICO_IPV4POOL_IPIP, CALICO_IPV4POOL_VXLAN. All nodes are in one
# network, so across networks means nowhere: Felix then writes plain routes, and no BIRD runs.
MODES = {
    "vxlan": ("vxlan", "Never", "Always"),
    "ipip": ("bird", "Always", "Never"),
    "bgp": ("bird", "Never", "Never"),
    "none": ("vxlan", "Never", "CrossSubnet"),
}
# Felix calls itself dead when one of its loops did not come round for so long, in seconds.
WATCHDOGS = {"InternalDataplaneMainLoop": 90, "CalculationGraph": 20}


class Calico(ManifestCni):
    """Calico with the lab's pod range, on the addresses the kubelets report."""

    url = URL
    default_version = "v3.33.0"
    checksums: ClassVar[Mapping[str, str]] = {
        "v3.33.0": "2de8f47595fb9c41b3f47d7b767a1f8e72ecf84057af834738ff12689a234da5",
        "v3.32.2": "a8c828a06a87c629a282ebbc424895b77f3a030251993e41ea400a743675bb02",
    }
    enforces_policies = True
    known_images: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "v3.33.0": tuple(
            f"quay.io/calico/{name}:v3.33.0" for name in ("calico", "node", "third-party-cni-plugins")
        ),
    }
    # Its CRDs keep the API server busy for ten seconds, and calico-node restarts until it answers at once.
    settle_seconds = 90.0

    def check(self, bundle: Bundle) -> None:
        """Raise ConfigError if the bundle lacks the file or an image, or its probes are not understood."""
        super().check(bundle)
        if not self._runs_bird:
            ask_felix_only(_node(changeable(self.read(partial(required_file, bundle)))))

    def documents(self, site: Site, published: Sequence[Document]) -> list[Document]:
        """Return the objects with the pod range, encapsulation, addresses and times of this lab."""
        documents = changeable(published)
        backend, ipip, vxlan = self._mode
        find(documents, "ConfigMap", "calico-config")["data"]["calico_backend"] = backend
        node = _node(documents)
        set_env(
            node,
            CLUSTER_TYPE="k8s,bgp" if self._runs_bird else "k8s",
            IP="autodetect",
            # The NIC is found by the address that the kubelet was told to report.
            IP_AUTODETECTION_METHOD="kubernetes-internal-ip",
            CALICO_IPV4POOL_CIDR=str(site.config.network.pods),
            CALICO_IPV4POOL_IPIP=ipip,
            CALICO_IPV4POOL_VXLAN=vxlan,
            # As kube-proxy has it: rules of both kinds on one node get into each other's way.
            FELIX_NFTABLESMODE="Enabled" if site.config.proxy_mode == "nftables" else "Disabled",
        )
        if not self._runs_bird:
            ask_felix_only(node)
        factor = site.acceleration.factor
        if factor > 1:
            overrides = [f"{name}={int(seconds * factor)}s" for name, seconds in WATCHDOGS.items()]
            set_env(node, FELIX_HEALTHTIMEOUTOVERRIDES=",".join(overrides))
            slow_probes(documents, factor)
        return documents

    @property
    def _mode(self) -> tuple[str, str, str]:
        return MODES[self.settings.values.get("encapsulation", DEFAULT)]

    @property
    def _runs_bird(self) -> bool:
        return self._mode[0] == "bird"


def _node(documents: Sequence[Document]) -> Document:
    return container(find(documents, "DaemonSet", "calico-node"), "calico-node")
