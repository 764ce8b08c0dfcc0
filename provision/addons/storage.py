"""Volumes on the nodes' own disks: a default StorageClass, and what makes a folder for each claim."""

from __future__ import annotations

from provision.addons.base import Plain
from provision.artifacts.source.programs import Programs, shipped
from provision.cluster.kubectl import Kubectl

MODULE = "github.com/rancher/local-path-provisioner"
PROVISIONER = "rancher.io/local-path"
MADE_BY = "pv.kubernetes.io/provisioned-by"


class Storage(Plain):
    """The local path provisioner. A snapshot of the lab holds the volumes with the disks they are on."""

    name = "storage"
    title = "a default StorageClass: volumes on the nodes' own disks"

    def programs(self) -> Programs:
        """Return the provisioner."""
        return shipped(
            "local-path-provisioner",
            MODULE,
            {"local-path-provisioner": "docker.io/rancher/local-path-provisioner"},
        )

    def users(self, kubectl: Kubectl) -> list[str]:
        """Return the claims that have a volume of it, as "namespace/name"."""
        found = []
        for volume in kubectl.items("persistentvolumes"):
            claim = volume["spec"].get("claimRef")
            maker = (volume["metadata"].get("annotations") or {}).get(MADE_BY)
            if claim and maker == PROVISIONER and volume.get("status", {}).get("phase") == "Bound":
                found.append(f"{claim['namespace']}/{claim['name']}")
        return sorted(found)
