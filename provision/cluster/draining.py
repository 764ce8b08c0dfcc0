"""Nodes that take no more pods, and give away those they have."""

from __future__ import annotations

import json

from provision.cluster.health import Object
from provision.cluster.kubectl import Kubectl
from provision.engine.patience import Patience
from provision.errors import LabError, ToolFailed, in_one_line

# On a Node that kubelab cordoned, to remove or restart it. One that the user cordoned has none.
MARK = "kubelab/cordoned"
HINT = (
    "kubelab kubectl get poddisruptionbudgets -A shows the budgets; with --force pods that nothing starts"
    " again are deleted, and after the deadline those that a budget holds, too"
)


def is_cordoned(node: Object) -> bool:
    """Return whether a Node takes no new pods."""
    return bool(node.get("spec", {}).get("unschedulable"))


def is_marked(node: Object) -> bool:
    """Return whether kubelab cordoned a Node."""
    return MARK in (node["metadata"].get("annotations") or {})


def cordon(kubectl: Kubectl, node: Object) -> None:
    """Cordon a Node and mark it, unless it is cordoned already."""
    if not is_cordoned(node):
        _patch(kubectl, node["metadata"]["name"], "true", unschedulable=True)


def uncordon(kubectl: Kubectl, name: str) -> None:
    """Let a Node take pods again."""
    _patch(kubectl, name, None, unschedulable=None)


def drain(kubectl: Kubectl, name: str, patience: Patience, *, force: bool) -> None:
    """Cordon a Node and evict its pods, as the budgets allow; raises LabError when not all can go in time.

    With `force` pods that no controller starts again are deleted, and after the deadline those that a budget
    holds.
    """
    flags = ["--ignore-daemonsets", "--delete-emptydir-data", *(["--force"] if force else [])]

    def attempt(left: float, *more: str) -> None:
        limit = max(1, int(left))
        kubectl("drain", name, *flags, *more, f"--timeout={limit}s", deadline=limit + kubectl.deadline)

    try:
        try:
            patience.insist(attempt, f"{name}: kubectl drain")
        except ToolFailed as error:
            if not force:
                raise
            patience.report.warn(
                f"{name}: what is left is deleted, whatever budgets say: {in_one_line(error)}"
            )
            attempt(patience.seconds, "--disable-eviction")
    except ToolFailed as error:
        patience.report.said(f"{name}: kubectl drain", error.output)
        raise LabError(f"{name} cannot be drained: {in_one_line(error)}", hint=HINT) from error


def _patch(kubectl: Kubectl, name: str, mark: str | None, *, unschedulable: bool | None) -> None:
    patch = {"metadata": {"annotations": {MARK: mark}}, "spec": {"unschedulable": unschedulable}}
    kubectl("patch", "node", name, "-p", json.dumps(patch))
