"""Objects of the API, their times counted from NOW."""

from __future__ import annotations

import datetime as dt
from typing import Any

from tests.fakes.node.credentials import NOW


def stamp(seconds: float) -> str:
    """Return Kubernetes' text for the time `seconds` after NOW."""
    return dt.datetime.fromtimestamp(NOW + seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def node(name: str, ready: str = "True") -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": ready}]
    return {"kind": "Node", "metadata": {"name": name}, "status": {"conditions": conditions}}


def lease(namespace: str, name: str, seconds: float) -> dict[str, Any]:
    metadata = {"namespace": namespace, "name": name}
    return {"kind": "Lease", "metadata": metadata, "spec": {"renewTime": stamp(seconds)}}


def pod(
    name: str = "web-1", *, namespace: str = "default", owner: str = "ReplicaSet", **status: Any
) -> dict[str, Any]:
    """Return a pod on the first worker, made a month before NOW; `status` replaces parts of its status."""
    metadata: dict[str, Any] = {"namespace": namespace, "name": name, "uid": f"uid-{name}"}
    metadata["creationTimestamp"] = stamp(-30 * 86400)
    if owner:
        metadata["ownerReferences"] = [{"kind": owner, "controller": True}]
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": stamp(-29 * 86400)}
    found = {
        "phase": "Running",
        "conditions": [ready],
        "containerStatuses": [{"name": "c", "state": {"running": {}}}],
    }
    return {
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"nodeName": "lab-w1"},
        "status": {**found, **status},
    }
