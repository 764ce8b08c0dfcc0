"""Which CNI a cluster has: asked of the cluster, and compared with what lab.yaml wants."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from provision.cluster.kubectl import Kubectl
from provision.config.cni import CniConfig
from provision.errors import ConfigDrift

NAMESPACE, NAME = "kube-system", "kubelab"
KUBEADM = "kubeadm-config"
KINDS = "configmaps,daemonsets,deployments"
WORKLOADS = ("DaemonSet", "Deployment")
START_OVER = "or start over: kubelab destroy, then kubelab up"
# DaemonSets by which a CNI is known that kubelab did not install, or before it could write that down.
KNOWN = {
    "kube-system/DaemonSet/calico-node": "calico",
    "calico-system/DaemonSet/calico-node": "calico",
    "kube-system/DaemonSet/cilium": "cilium",
    "kube-flannel/DaemonSet/kube-flannel-ds": "flannel",
}


@dataclass(frozen=True)
class Record:
    """What kubelab wrote into the cluster about the CNI it put there; `digest` is that of its manifest."""

    name: str
    version: str
    digest: str
    values: dict[str, Any] = field(default_factory=dict)
    workloads: tuple[str, ...] = ()

    def write(self, kubectl: Kubectl) -> None:
        """Write it into the cluster."""
        data = {"cni": json.dumps(asdict(self), sort_keys=True)}
        metadata = {"name": NAME, "namespace": NAMESPACE}
        kubectl.write([{"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}])


@dataclass(frozen=True)
class Installed:
    """The CNI of a cluster: its `record`, if kubelab wrote one, and the workloads that are there.

    `made` says whether kubeadm made a cluster there at all, `bridge` whether for the bridge.
    """

    record: Record | None
    workloads: frozenset[str]
    made: bool
    bridge: bool

    @property
    def name(self) -> str:
        """Return the CNI's name, or an empty string for none that is known."""
        if self.record is not None:
            return self.record.name
        if self.bridge:
            return "bridge"
        return next((KNOWN[found] for found in sorted(self.workloads) if found in KNOWN), "")

    def has(self, workloads: Iterable[str]) -> bool:
        """Return whether all of `workloads` are there."""
        return self.workloads >= set(workloads)


@dataclass(frozen=True)
class Change:
    """The key by which lab.yaml asks for another CNI than the cluster has, and what each of them says."""

    key: str
    cluster: str
    wanted: str


def look(kubectl: Kubectl) -> Installed:
    """Ask the cluster what it has, in one request; raises ToolFailed."""
    return found_in(kubectl.items(KINDS, "--all-namespaces"))


def found_in(objects: Iterable[dict[str, Any]]) -> Installed:
    """Return what the objects of a cluster say, of those of KINDS."""
    record, made, bridge = None, False, False
    workloads = set()
    for item in objects:
        kind, name = item["kind"], item["metadata"]["name"]
        namespace = item["metadata"].get("namespace", "")
        if kind in WORKLOADS:
            workloads.add(f"{namespace}/{kind}/{name}")
        elif kind != "ConfigMap":
            continue
        elif namespace == NAMESPACE and name == KUBEADM:
            made = True
            bridge = "allocate-node-cidrs" in str((item.get("data") or {}).get("ClusterConfiguration"))
        elif namespace == NAMESPACE and name == NAME:
            record = _parse((item.get("data") or {}).get("cni", ""))
    return Installed(record, frozenset(workloads), made, bridge)


def change_of(wanted: CniConfig, found: Installed) -> Change | None:
    """Return how a cluster's CNI differs from `wanted` in what it keeps as long as it lives, else None."""
    if wanted.name != found.name and not _may_follow(wanted.name, found):
        return Change("cni", found.name or "no CNI", wanted.name)
    record = found.record
    if record is None or record.name != wanted.name:
        return None
    if wanted.version and wanted.version.removeprefix("v") != record.version.removeprefix("v"):
        return Change("cni.version", record.version, wanted.version)
    if wanted.values != record.values:
        return Change("cni.values", json.dumps(record.values), json.dumps(wanted.values))
    return None


def refuse_change(wanted: CniConfig, found: Installed) -> None:
    """Raise ConfigDrift if the cluster has another CNI than `wanted`, or the same in another form."""
    change = change_of(wanted, found)
    if change is not None:
        raise ConfigDrift(
            f"the cluster has {change.cluster}, lab.yaml asks for {change.wanted}:"
            " a living cluster keeps its CNI",
            key=change.key,
            hint=f"set it back, {START_OVER}",
        )


def _may_follow(wanted: str, found: Installed) -> bool:
    """Return whether a CNI may be wanted where another name, or none, was found."""
    if not found.made:
        return True
    if not found.name:
        # kubeadm was told who gives out the nodes' pod ranges, and for the bridge it is another.
        return wanted != "bridge"
    # Whoever asked for none may have brought any.
    return wanted == "none" and found.record is None and not found.bridge


def _parse(text: str) -> Record | None:
    """Return a record; none for a text that this version of kubelab does not understand."""
    try:
        fields = json.loads(text)
        return Record(**{**fields, "workloads": tuple(fields["workloads"])})
    except (ValueError, TypeError, KeyError):
        return None
