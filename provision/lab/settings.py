"""What lab.yaml's keys `kubeadm`, `kubelet` and `kubeProxy` came to in a cluster, and where lab.yaml differs.

kubeadm keeps its documents in the cluster. Of patches it keeps nothing: CoreDNS, which it makes with them, is
marked by one of kubelab's own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from provision.cluster import fragments
from provision.cluster.health import KUBE_SYSTEM, Object
from provision.cluster.kubeadm_config import NAME, document_in
from provision.config.kubeadm import CLUSTER_DOMAIN, FEATURE_GATES, GATED, RESERVED
from provision.config.schema import ClusterConfig
from provision.kubeadm import patches

# Key of lab.yaml, component, and where ClusterConfiguration has it.
ARGUMENTS = (
    ("kubeadm.apiServerExtraArgs", "kube-apiserver", ("apiServer",)),
    ("kubeadm.controllerManagerExtraArgs", "kube-controller-manager", ("controllerManager",)),
    ("kubeadm.schedulerExtraArgs", "kube-scheduler", ("scheduler",)),
    ("kubeadm.etcdExtraArgs", "etcd", ("etcd", "local")),
)
GATES, SANS, DOMAIN = "kubeadm.featureGates", "kubeadm.apiServerCertSANs", "kubeadm.clusterDomain"
KUBELET, KUBE_PROXY = "kubelet", "kubeProxy"
LONGEST = 60
# Key of lab.yaml, what the cluster has and what the file says, in a few words.
Change = tuple[str, str, str]


@dataclass(frozen=True)
class Settings:
    """The documents of a cluster, and the digest of the patches; None for what it does not say."""

    kubeadm: Mapping[str, Any] | None = None
    kubelet: Mapping[str, Any] | None = None
    kube_proxy: Mapping[str, Any] | None = None
    patches: str | None = None

    def unsaid(self, config: ClusterConfig) -> list[str]:
        """Return the keys that cannot be compared."""
        said = {"kubeadm": self.kubeadm, patches.KEY: self.patches, KUBELET: self.kubelet}
        if not config.cni.replaces_kube_proxy:
            said[KUBE_PROXY] = self.kube_proxy
        return [key for key, value in said.items() if value is None]


def settings_in(objects: Iterable[Object]) -> Settings:
    """Return the settings among the objects of a cluster: its ConfigMaps and Deployments."""
    listed = [item for item in objects if item["metadata"].get("namespace") == KUBE_SYSTEM]
    return Settings(
        document_in(listed, NAME, "ClusterConfiguration"),
        document_in(listed, "kubelet-config", "kubelet"),
        document_in(listed, "kube-proxy", "config.conf"),
        _mark(listed),
    )


def changes(config: ClusterConfig, settings: Settings, own: Iterable[str]) -> Iterator[Change]:
    """Yield where lab.yaml differs; `own` are the addresses that kubelab itself puts into certificates.

    Raises ConfigError for patches that cannot be read.
    """
    if settings.kubeadm is not None:
        yield from _kubeadm_changes(config, settings.kubeadm, set(own))
    digest = patches.digest(patches.read_patches(config))
    if settings.patches is not None and settings.patches != digest:
        yield patches.KEY, "others" if settings.patches else "none", config.kubeadm.patches or "none"
    if settings.kubelet is not None:
        asked = fragments.kubelet_asked
        yield from _fragment_changes(KUBELET, asked(settings.kubelet), asked(config.kubelet))
    if settings.kube_proxy is not None and not config.cni.replaces_kube_proxy:
        asked = fragments.kube_proxy_asked
        yield from _fragment_changes(KUBE_PROXY, asked(settings.kube_proxy), asked(config.kube_proxy))


def _kubeadm_changes(config: ClusterConfig, made: Mapping[str, Any], own: set[str]) -> Iterator[Change]:
    wanted, gates = config.kubeadm.arguments(), {}
    for key, component, path in ARGUMENTS:
        found, said = _arguments(_at(made, *path)), dict(wanted[component])
        if component in GATED:
            gates[component] = found.pop(FEATURE_GATES, ""), said.pop(FEATURE_GATES, "")
        lab = {name: value for name, value in found.items() if name not in RESERVED[component]}
        yield from _fragment_changes(key, lab, said)
    lab_gates, file_gates = ({*text.split(",")} - {""} for text in gates["kube-apiserver"])
    if lab_gates != file_gates:
        yield GATES, _listed(lab_gates - file_gates), _listed(file_gates - lab_gates)
    names = _at(made, "apiServer").get("certSANs")
    lab_names = set(map(str, names if isinstance(names, list) else [])) - own
    file_names = {*config.kubeadm.api_server_cert_sans} - own
    if lab_names != file_names:
        yield SANS, _listed(lab_names - file_names), _listed(file_names - lab_names)
    domain = str(_at(made, "networking").get("dnsDomain") or CLUSTER_DOMAIN)
    if domain != config.kubeadm.cluster_domain:
        yield DOMAIN, _short(domain), config.kubeadm.cluster_domain


def _fragment_changes(key: str, lab: Mapping[str, Any], file: Mapping[str, Any]) -> Iterator[Change]:
    differ = fragments.differing(lab, file)
    if differ:
        first, second = (
            _listed({f"{name}={_in_words(each[name])}" for name in differ if name in each})
            for each in (lab, file)
        )
        yield key, first, second


def _mark(objects: Iterable[Object]) -> str | None:
    """Return the digest of the patches; None before kubeadm made what is marked with it."""
    for item in objects:
        if (item["kind"], item["metadata"]["name"]) == ("Deployment", "coredns"):
            return str((item["metadata"].get("annotations") or {}).get(patches.ANNOTATION, ""))
    return None


def _arguments(holder: Mapping[str, Any]) -> dict[str, str]:
    entries = holder.get("extraArgs")
    listed = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    return {str(entry.get("name")): str(entry.get("value")) for entry in listed}


def _at(document: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """Return the mapping at a path; an empty one for anything else."""
    found: Any = document
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _in_words(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _listed(texts: Iterable[str]) -> str:
    return _short(", ".join(sorted(texts))) or "none"


def _short(text: str) -> str:
    """Return a text that a table has room for, and no sign in it that a terminal would obey."""
    plain = "".join(sign if sign.isprintable() else "?" for sign in text)
    return plain if len(plain) <= LONGEST else f"{plain[:LONGEST]}..."
