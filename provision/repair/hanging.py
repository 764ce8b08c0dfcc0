"""Finds the pods that hang after a restore. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provision.cluster.health import condition

Object = dict[str, Any]

SYSTEM = "kube-system"
BACK_OFF = "CrashLoopBackOff"
TERMINATING = "Terminating"
MIRROR = "kubernetes.io/config.mirror"
# States on the way to running; a container that stays in one may wait for a sandbox that no longer exists.
PASSING = frozenset(
    {
        "ContainerCreating",
        "PodInitializing",
        "CreateContainerError",
        "RunContainerError",
        "ContainerStatusUnknown",
    }
)
# A pod that was in this state for longer when the snapshot was taken is left as it was.
SETTLED_SECONDS = 120.0


@dataclass(frozen=True)
class Pod:
    """What the repair needs to know about a pod.

    `hangs` says how it hangs, or is empty. It is overdue when its grace period has passed.
    """

    namespace: str
    name: str
    uid: str
    is_controlled: bool
    is_static: bool
    hangs: str = ""
    is_overdue: bool = False

    @property
    def is_system(self) -> bool:
        return self.namespace == SYSTEM

    @property
    def title(self) -> str:
        return f"{self.namespace}/{self.name} ({self.hangs})"


def hanging(objects: Sequence[Object], moment: float, now: float) -> list[Pod]:
    """Return the hanging pods on Ready nodes; `objects` are all Nodes and Pods.

    `moment` is the point in time that the cluster was restored to, `now` the current time, both in seconds.
    """
    ready = {
        item["metadata"]["name"]
        for item in objects
        if item["kind"] == "Node" and condition(item, "Ready") == "True"
    }
    found = []
    for item in objects:
        if item["kind"] == "Pod" and item["spec"].get("nodeName") in ready:
            how, began = _how(item), _began(item)
            pod = pod_of(item, how, is_overdue=how == TERMINATING and began < now)
            # A user's pod within its grace period is terminating normally.
            waited = how != TERMINATING or pod.is_overdue or pod.is_system
            if how and waited and began > moment - SETTLED_SECONDS:
                found.append(pod)
    return found


def _how(item: Object) -> str:
    """Return how a pod hangs, or an empty string."""
    status: Mapping[str, Any] = item.get("status", {})
    phase = str(status.get("phase", "Unknown"))
    containers = status.get("containerStatuses") or []
    initialising = any("running" in state for state in _states(status.get("initContainerStatuses") or []))
    reasons = [_reason(state) for state in _states(containers)]
    passing = [reason for reason in reasons if reason in PASSING]
    # A crashing program of the user is not caused by the restore.
    failing = BACK_OFF in reasons and item["metadata"]["namespace"] != SYSTEM
    if "deletionTimestamp" in item["metadata"]:
        return TERMINATING
    if initialising or failing or phase in ("Succeeded", "Failed"):
        return ""
    if passing or phase == "Unknown":
        return passing[0] if passing else phase
    if phase == "Running":
        return "" if condition(item, "Ready") == "True" else "not Ready"
    return "" if containers else "ContainerCreating"


def _states(containers: Sequence[Object]) -> list[Object]:
    return [container.get("state", {}) for container in containers]


def _reason(state: Object) -> str:
    return str(state.get("waiting", {}).get("reason", ""))


def _began(item: Object) -> float:
    """Return since when a pod is in its state, in seconds since the epoch."""
    metadata, status = item["metadata"], item.get("status", {})
    text = metadata.get("deletionTimestamp")
    if text is None:
        changes = (
            entry.get("lastTransitionTime")
            for entry in status.get("conditions") or []
            if entry["type"] == "Ready"
        )
        text = next(changes, None) or status.get("startTime") or metadata["creationTimestamp"]
    return dt.datetime.fromisoformat(text).timestamp()


def pod_of(item: Object, hangs: str = "", *, is_overdue: bool = False) -> Pod:
    """Return the Pod for a pod object of the API."""
    metadata = item["metadata"]
    is_static = MIRROR in (metadata.get("annotations") or {})
    owners = metadata.get("ownerReferences") or []
    controlled = any(owner.get("controller") for owner in owners) and not is_static
    name = metadata["namespace"], metadata["name"], metadata["uid"]
    return Pod(*name, controlled, is_static, hangs, is_overdue)
