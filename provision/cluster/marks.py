"""Labels and taints of the cluster's Nodes: those of lab.yaml, beside what others gave them. Pure.

What kubelab gave is written down on the Node itself, so that it can be taken away again; what a user, kubeadm
or the kubelet gave stays.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from provision.cluster.health import Object
from provision.config.inventory import Node
from provision.config.marks import CONTROL_PLANE_TAINT, parts_of, text_of

ANNOTATION = "kubelab/marks"


@dataclass(frozen=True)
class Marks:
    """Labels and taints, both as lab.yaml writes them; taints are sorted."""

    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[str] = ()

    @property
    def labels_text(self) -> str:
        """Return the labels in one line."""
        return ", ".join(f"{key}={value}" for key, value in sorted(self.labels.items())) or "none"

    @property
    def taints_text(self) -> str:
        """Return the taints in one line."""
        return ", ".join(self.taints) or "none"


def wanted(node: Node) -> Marks:
    """Return what lab.yaml says of a node."""
    return Marks(dict(node.labels), tuple(node.taints))


def seen(item: Object, node: Node) -> Marks:
    """Return those of a Node object's labels and taints that are lab.yaml's matter."""
    given = _given(item, node)
    labels = {*given.labels, *node.labels}
    taints = sorted(text_of(each) for each in _taints(item) if _is_ours(each, given, node))
    found = item["metadata"].get("labels") or {}
    return Marks({key: value for key, value in found.items() if key in labels}, tuple(taints))


def patch_for(item: Object, node: Node) -> dict[str, Any]:
    """Return the merge patch that gives a Node object its labels and taints."""
    given = _given(item, node)
    gone: dict[str, str | None] = {key: None for key in given.labels if key not in node.labels}
    kept = [each for each in _taints(item) if not _is_ours(each, given, node)]
    record = json.dumps({"labels": sorted(node.labels), "taints": list(node.taints)})
    return {
        "metadata": {"labels": gone | dict(node.labels), "annotations": {ANNOTATION: record}},
        # A list is replaced as a whole: taints of others are written again.
        "spec": {"taints": kept + [parts_of(taint) for taint in node.taints]},
    }


def _taints(item: Object) -> list[dict[str, Any]]:
    return item.get("spec", {}).get("taints") or []


def _is_ours(taint: dict[str, Any], given: Marks, node: Node) -> bool:
    """Return whether a taint was given by kubelab, or stands where one of lab.yaml has to.

    Kubernetes refuses two taints of the same key and effect.
    """
    places = {(each["key"], each["effect"]) for each in map(parts_of, node.taints)}
    return text_of(taint) in given.taints or (taint["key"], taint["effect"]) in places


def _given(item: Object, node: Node) -> Marks:
    """Return what kubelab gave a Node, and kubeadm's taint, in whose place lab.yaml's list stands."""
    text = (item["metadata"].get("annotations") or {}).get(ANNOTATION, "")
    kubeadms = [CONTROL_PLANE_TAINT] if node.is_control_plane else []
    try:
        record = json.loads(text)
        labels = {str(key): "" for key in record["labels"]}
        return Marks(labels, [*map(str, record["taints"]), *kubeadms])
    except (ValueError, TypeError, KeyError):
        # Nothing yet, or somebody else wrote there.
        return Marks({}, kubeadms)
