"""A cluster of sandboxes, before a step of `up` has done anything to it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fakes.artifacts.bundle import make_bundle
from tests.fakes.cluster.api import Api
from tests.fakes.kubeadm import KUBEADM, certificate
from tests.fakes.lab import Lab, make_lab
from tests.fakes.node.credentials import kubeconfig
from tests.fakes.node.sandbox import Sandbox

IMAGES = {
    "pause": "registry.k8s.io/pause:3.10.2",
    "etcd": "registry.k8s.io/etcd:3.6.8-0",
    "coredns": "registry.k8s.io/coredns/coredns:v1.14.1",
}


@dataclass
class Cluster:
    """A lab whose nodes are sandboxes, before anything was done to them."""

    lab: Lab
    api: Api
    nodes: dict[str, Sandbox]

    @property
    def first(self) -> Sandbox:
        return self.nodes["lab-cp1"]

    def workers(self) -> list[Sandbox]:
        return [node for name, node in self.nodes.items() if name != "lab-cp1"]

    def argvs(self) -> str:
        """Return everything that could be read in a process list."""
        return "\n".join([*self.api.calls, *(call for node in self.nodes.values() for call in node.calls)])


def make_cluster(root: Path, **keys: Any) -> Cluster:
    """Return a cluster to be; kubeadm's stub does on each node what kubeadm leaves on success."""
    bundle = make_bundle(root / "images", IMAGES)
    nodes: dict[str, Sandbox] = {}
    changes = {"find_bundle": lambda: bundle, "connect": lambda node: nodes[node.name]}
    lab = make_lab(root, changes=changes, **keys)
    api = Api(root / "api", lab.ctx.kubectl)
    for node in lab.ctx.inventory.nodes:
        nodes[node.name] = Sandbox(node.name, root / node.name)
        nodes[node.name].kubeadm(KUBEADM.format(api=shlex.quote(str(api.root)), name=node.name))
    (root / "lab-cp1/ca.crt").write_bytes(certificate())
    (root / "lab-cp1/admin.conf").write_text(kubeconfig(365))
    return Cluster(lab, api, nodes)
