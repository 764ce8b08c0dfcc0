"""The objects of the cluster, queried once, and when the last step of the lab ended."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from provision.cluster.health import Object
from provision.testing.workloads import MANAGED_BY
from provision.verify.examine import STEP as VERIFY
from provision.workspace import Workspace

if TYPE_CHECKING:
    from provision.testing.kubectl import LabKubectl

KINDS = (
    "nodes",
    "namespaces",
    "pods",
    "deployments.apps",
    "daemonsets.apps",
    "leases.coordination.k8s.io",
    "apiservices.apiregistration.k8s.io",
)
_STEP_ENDED = re.compile(r"^(?P<time>\S+) step_(?:done|skipped) (?P<fields>\{.*\})$", re.MULTILINE)


@dataclass(frozen=True)
class ClusterState:
    """All objects of KINDS at `time`, by the host's clock, in seconds since the epoch."""

    objects: tuple[Object, ...]
    time: float

    def all(self, kind: str) -> list[Object]:
        """Return the objects of a kind, without those that the checks created."""
        ours = {
            item["metadata"]["name"]
            for item in self.objects
            if item["kind"] == "Namespace"
            and MANAGED_BY.items() <= (item["metadata"].get("labels") or {}).items()
        }
        return [
            item
            for item in self.objects
            if item["kind"] == kind and item["metadata"].get("namespace") not in ours
        ]

    def node(self, name: str) -> Object:
        """Return the Node object `name`; an empty one if there is none."""
        absent: Object = {"kind": "Node", "metadata": {"name": name}, "status": {}}
        return next((item for item in self.all("Node") if item["metadata"]["name"] == name), absent)

    def lease_age(self, namespace: str, name: str) -> float | None:
        """Return how many seconds ago a Lease was renewed, or None where there is none."""
        for item in self.all("Lease"):
            if (item["metadata"]["namespace"], item["metadata"]["name"]) == (namespace, name):
                renewed = item.get("spec", {}).get("renewTime")
                return self.time - seconds(renewed) if renewed else None
        return None


def look(kubectl: LabKubectl) -> ClusterState:
    """Ask the API server once; raises ToolFailed."""
    now = time.time()
    return ClusterState(tuple(kubectl.items(",".join(KINDS), "--all-namespaces")), now)


def seconds(stamp: str) -> float:
    """Return a timestamp of Kubernetes as seconds since the epoch."""
    return dt.datetime.fromisoformat(stamp).timestamp()


def last_step(workspace: Workspace) -> float:
    """Return when the last step of `up`, of a restore or of a reset ended, in seconds since the epoch.

    The run logs cover the last commands only. When none of them had a step, it is the time when the
    kubeconfig was written: at the end of `kubeadm init`, or by a restore that renewed it.
    """
    ends = []
    for file in workspace.run_log.parent.glob(f"{workspace.run_log.name}*"):
        for ended in _STEP_ENDED.finditer(file.read_text(errors="replace")):
            with contextlib.suppress(ValueError, KeyError):
                if json.loads(ended["fields"])["id"] != VERIFY:
                    ends.append(seconds(ended["time"]))
    return max([*ends, workspace.kubeconfig.stat().st_mtime])
