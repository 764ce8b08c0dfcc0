"""Nodes that kubelab keeps new pods from for a while; what a user cordoned is not among them."""

from __future__ import annotations

import json

from provision.cluster.kubectl import Kubectl

# On a node that kubelab cordoned, so that a killed command leaves none for ever.
ANNOTATION = "kubelab/cordoned"


def cordon(kubectl: Kubectl, node: str) -> bool:
    """Keep new pods from a node; return False where it was cordoned before. Raises ToolFailed."""
    if kubectl.json("get", "node", node).get("spec", {}).get("unschedulable"):
        return node in cordoned(kubectl)
    _patch(kubectl, node, "true", unschedulable=True)
    return True


def cordoned(kubectl: Kubectl) -> list[str]:
    """Return the nodes that kubelab cordoned; raises ToolFailed."""
    found = (item["metadata"] for item in kubectl.items("nodes"))
    return [str(each["name"]) for each in found if ANNOTATION in (each.get("annotations") or {})]


def uncordon(kubectl: Kubectl, node: str) -> None:
    """Let new pods onto a node that kubelab cordoned; raises ToolFailed."""
    _patch(kubectl, node, None, unschedulable=None)


def _patch(kubectl: Kubectl, node: str, mark: str | None, *, unschedulable: bool | None) -> None:
    # What is None is removed.
    patch = {"metadata": {"annotations": {ANNOTATION: mark}}, "spec": {"unschedulable": unschedulable}}
    kubectl("patch", "node", node, "--type=merge", f"--patch={json.dumps(patch)}")
