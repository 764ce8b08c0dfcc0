"""What a cluster was made with, as kubeadm keeps it in the cluster."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

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
    for item in objects:
        about = item["metadata"]
        if item["kind"] == "ConfigMap" and (about.get("namespace"), about["name"]) == (KUBE_SYSTEM, NAME):
            return _read((item.get("data") or {}).get("ClusterConfiguration", ""))
    return None


def _read(text: str) -> Made:
    try:
        document = yaml.load(text, LabLoader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return Made()
    if not isinstance(document, dict):
        return Made()
    networking = document.get("networking")
    ranges = networking if isinstance(networking, dict) else {}
    return Made(
        str(document.get("kubernetesVersion") or "").removeprefix("v"),
        str(ranges.get("podSubnet") or ""),
        str(ranges.get("serviceSubnet") or ""),
    )
