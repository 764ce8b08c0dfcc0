"""What the API server says of a cluster on which nothing is wrong."""

from __future__ import annotations

import datetime as dt
from typing import Any

from provision.cluster.health import COMPONENTS
from provision.config.inventory import Node
from provision.config.marks import parts_of
from tests.fakes.lab import FakeContext
from tests.fakes.node.credentials import NOW

Object = dict[str, Any]


def stamp(ago: float) -> str:
    """Return Kubernetes' text for the time `ago` seconds before NOW."""
    return dt.datetime.fromtimestamp(NOW - ago, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def conditions(**wanted: str) -> list[Object]:
    return [{"type": kind, "status": status, "message": f"{kind} said"} for kind, status in wanted.items()]


def node_object(node: Node) -> Object:
    role = {"node-role.kubernetes.io/control-plane": ""} if node.is_control_plane else {}
    return {
        "kind": "Node",
        "metadata": {"name": node.name, "labels": role | node.labels},
        "spec": {"taints": [parts_of(taint) for taint in node.taints]},
        "status": {
            "addresses": [{"type": "InternalIP", "address": node.ip}],
            "conditions": conditions(
                Ready="True", DiskPressure="False", MemoryPressure="False", PIDPressure="False"
            ),
            "nodeInfo": {"kubeletVersion": "v1.36.3", "containerRuntimeVersion": "containerd://1.7.24~ds1"},
        },
    }


def pod_object(name: str, container: str, image: str, namespace: str = "kube-system") -> Object:
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"containers": [{"name": container, "image": image}]},
        "status": {
            "phase": "Running",
            "conditions": conditions(Ready="True"),
            "containerStatuses": [
                {"name": container, "restartCount": 0, "state": {"running": {"startedAt": stamp(900)}}}
            ],
        },
    }


def rollout(kind: str, name: str, namespace: str = "kube-system") -> Object:
    status = {"readyReplicas": 1, "numberReady": 1, "desiredNumberScheduled": 1, "observedGeneration": 1}
    return {
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, "generation": 1},
        "spec": {"replicas": 1},
        "status": status,
    }


def lease(namespace: str, name: str, ago: float = 2) -> Object:
    metadata = {"namespace": namespace, "name": name}
    return {"kind": "Lease", "metadata": metadata, "spec": {"renewTime": stamp(ago)}}


def namespace_object(name: str, labels: dict[str, str] | None = None) -> Object:
    return {"kind": "Namespace", "metadata": {"name": name, "labels": labels or {}}}


def healthy_objects(ctx: FakeContext) -> list[Object]:
    """Return what the API server says of a cluster on which nothing is wrong."""
    first = ctx.inventory.first.name
    images = {name: f"registry.k8s.io/{name}:v1.36.3" for name in COMPONENTS}
    images["etcd"] = "registry.k8s.io/etcd:3.6.8-0"
    return [
        *(node_object(node) for node in ctx.inventory.nodes),
        *(namespace_object(name) for name in ("default", "kube-system")),
        *(pod_object(f"{name}-{first}", name, image) for name, image in images.items()),
        pod_object("kube-proxy-x", "kube-proxy", "registry.k8s.io/kube-proxy:v1.36.3"),
        pod_object("coredns-x", "coredns", "registry.k8s.io/coredns/coredns:v1.14.1"),
        rollout("Deployment", "coredns"),
        rollout("DaemonSet", "kube-proxy"),
        *(lease("kube-node-lease", node.name) for node in ctx.inventory.nodes),
        *(lease("kube-system", name) for name in ("kube-scheduler", "kube-controller-manager")),
        {
            "kind": "APIService",
            "metadata": {"name": "v1."},
            "status": {"conditions": conditions(Available="True")},
        },
    ]
