"""The status of a lab as JSON data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from provision.cluster.health import (
    KUBE_SYSTEM,
    Object,
    condition,
    internal_ips,
    pod_state,
    restarts,
    role_of,
    version_of,
)
from provision.lab.context import Context
from provision.providers.base import MISSING
from provision.report.events import timestamp
from provision.status.addons import states
from provision.status.model import Status


def data(ctx: Context, found: Status) -> dict[str, Any]:
    """Return plain values: an unknown part is None, and `unknown` says why.

    Apart from `time`, the result changes only when the lab changes: it has points in time instead of ages.
    """
    snapshot, asked = found.snapshot, found.objects is not None
    return {
        "lab": ctx.config.name,
        "kubernetes": ctx.config.kubernetes,
        "time": timestamp(found.time),
        "healthy": found.healthy,
        "nodes": nodes(ctx, found),
        "control_plane": _components(found) if asked else None,
        "failing": found.failing,
        "pods": _pods(found.pods) if asked else None,
        "policies": {"total": len(found.policies), "ignored": _ignored(ctx, found)} if asked else None,
        "verify": found.verify.model_dump(mode="json") if found.verify else None,
        "snapshot": snapshot
        and {"name": snapshot.name, "time": timestamp(snapshot.time), "note": snapshot.note},
        "certificates": found.expiries
        and [
            {"node": each.node, "file": each.file, "end": timestamp(each.end), "days": each.days(found.time)}
            for each in found.expiries
        ],
        "ports": [{"port": port.text, "open": port.text in found.relayed} for port in ctx.config.ports],
        "addons": states(ctx, found.objects),
        "unknown": dict(found.unknown),
        "problems": list(found.problems),
    }


def nodes(ctx: Context, found: Status) -> list[dict[str, Any]]:
    """Return the nodes of lab.yaml, then any others in the cluster."""
    rows = []
    for node in ctx.inventory.nodes:
        state = None if found.states is None else found.states.get(node.name, MISSING)
        about = {"name": node.name, "role": node.role, "address": node.ip, "machine": state, "in_lab": True}
        rows.append(about | _seen(found.nodes.get(node.name)))
    wanted = {node.name for node in ctx.inventory.nodes}
    for name in sorted(set(found.nodes) - wanted):
        item = found.nodes[name]
        about = {"name": name, "role": role_of(item), "address": ", ".join(internal_ips(item))}
        rows.append(about | {"machine": None, "in_lab": False} | _seen(item))
    return rows


def _seen(node: Object | None) -> dict[str, Any]:
    """Return what the API server knows about a node; all None when it was not asked or knows no such node."""
    if node is None:
        return dict.fromkeys(("ready", "cordoned", "version", "created"))
    return {
        "ready": condition(node, "Ready") == "True",
        "cordoned": bool(node.get("spec", {}).get("unschedulable")),
        "version": version_of(node),
        "created": node["metadata"].get("creationTimestamp"),
    }


def _components(found: Status) -> list[dict[str, Any]]:
    return [
        {"component": pod["metadata"]["labels"].get("component", pod["metadata"]["name"]), **_pod(pod)}
        for pod in found.pods
        if pod["metadata"]["namespace"] == KUBE_SYSTEM
        and pod["metadata"].get("labels", {}).get("tier") == "control-plane"
    ]


def _pods(pods: Sequence[Object]) -> dict[str, Any]:
    return {"total": len(pods), "not_ready": [_pod(pod) for pod in pods if pod_state(pod)]}


def _ignored(ctx: Context, found: Status) -> int:
    """Return how many NetworkPolicies have no effect.

    Whether a pod network of the user's own enforces them is not known.
    """
    cni = ctx.config.cni
    known = not cni.is_own and ctx.cni.name != "none"
    return len(found.policies) if known and not ctx.cni.enforces_policies else 0


def _pod(pod: Object) -> dict[str, Any]:
    return {
        "namespace": pod["metadata"]["namespace"],
        "name": pod["metadata"]["name"],
        "node": pod.get("spec", {}).get("nodeName", ""),
        "problem": pod_state(pod),
        "restarts": restarts(pod),
        "created": pod["metadata"].get("creationTimestamp"),
    }
