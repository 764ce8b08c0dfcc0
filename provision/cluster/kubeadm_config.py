"""What a cluster was made with, as kubeadm keeps it in the cluster."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import yaml

from provision.cluster.health import KUBE_SYSTEM, Object
from provision.config.loader import LabLoader

NAME = "kubeadm-config"


@dataclass(frozen=True)
class Made:
    """The version and the ranges of a cluster; empty where kubeadm's document does not say."""

    kubernetes: str = ""
    pods: str = ""
    services: str = ""


def made_with(objects: Iterable[Object]) -> Made | None:
    """Return what kubeadm kept among the objects of a cluster; None where it made none."""
    listed = list(objects)
    if _map_in(listed, NAME) is None:
        return None
    document = document_in(listed, NAME, "ClusterConfiguration") or {}
    networking = document.get("networking")
    ranges = networking if isinstance(networking, dict) else {}
    return Made(
        str(document.get("kubernetesVersion") or "").removeprefix("v"),
        str(ranges.get("podSubnet") or ""),
        str(ranges.get("serviceSubnet") or ""),
    )


def document_in(objects: Iterable[Object], name: str, key: str) -> dict[str, Any] | None:
    """Return a document that kubeadm kept in a ConfigMap, under a key of it; None for none that is one."""
    found = _map_in(objects, name)
    try:
        document = yaml.load((found or {}).get(key, ""), LabLoader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _map_in(objects: Iterable[Object], name: str) -> dict[str, str] | None:
    """Return the data of a ConfigMap of kube-system; None where it is not there."""
    for item in objects:
        about = item["metadata"]
        if item["kind"] == "ConfigMap" and (about.get("namespace"), about["name"]) == (KUBE_SYSTEM, name):
            return item.get("data") or {}
    return None
