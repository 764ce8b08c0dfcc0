"""What "the cluster is ready" means, as a pure function of what the API server says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from provision.config.inventory import Inventory
from provision.config.names import MACHINE_LABEL

Object = dict[str, Any]

# kubeadm runs each of these on every control plane, as a pod that is called COMPONENT-NODE.
COMPONENTS = ("kube-apiserver", "etcd", "kube-controller-manager", "kube-scheduler")
KUBE_SYSTEM = "kube-system"
# The namespaces that Kubernetes keeps for itself, and the priority classes that it comes with.
_SYSTEM_NAMESPACE, _SYSTEM_PRIORITY = "kube-", "system-"


def is_own(item: Object) -> bool:
    """Return whether an object is the user's own, and nothing that the cluster lives by.

    It lives by its Nodes, by what is in Kubernetes' own namespaces, and by what has Kubernetes' own priority
    anywhere: a pod network in calico-system, for one.
    """
    namespace = item["metadata"].get("namespace")
    if namespace is None:
        return False
    spec = item.get("spec", {})
    priority = spec.get("template", {}).get("spec", spec).get("priorityClassName") or ""
    return not namespace.startswith(_SYSTEM_NAMESPACE) and not priority.startswith(_SYSTEM_PRIORITY)


def problems(objects: Sequence[Object], inventory: Inventory, *, network: bool = True) -> list[str]:
    """Return what keeps the cluster from being ready, an empty list when it is.

    `objects` are all Nodes, Pods, Deployments and DaemonSets; those of the user's own do not count. Without a
    pod `network` (the user brings one) nodes need not be Ready, and nothing that waits for it is a problem.
    """
    vital = [item for item in objects if not is_own(item)]
    nodes = [item for item in vital if item["kind"] == "Node"]
    found = _node_problems(nodes, inventory, network=network)
    return found + unready(vital) if network else found


def own_problems(objects: Sequence[Object]) -> list[str]:
    """Return what of the user's own is not ready."""
    return unready([item for item in objects if is_own(item)])


def unready(objects: Sequence[Object]) -> list[str]:
    """Return which Pods, Deployments and DaemonSets are not ready, whosever they are."""
    kinds: dict[str, list[Object]] = {"Pod": [], "Deployment": [], "DaemonSet": []}
    for item in objects:
        kinds.setdefault(item["kind"], []).append(item)
    found = _rollout_problems(kinds["Deployment"], kinds["DaemonSet"])
    return found + [text for pod in kinds["Pod"] if (text := pod_problem(pod))]


def _node_problems(nodes: Sequence[Object], inventory: Inventory, *, network: bool) -> list[str]:
    by_name = {node["metadata"]["name"]: node for node in nodes}
    found = []
    for wanted in inventory.nodes:
        node = by_name.get(wanted.name)
        if node is None:
            found.append(f"node {wanted.name} is not in the cluster")
            continue
        if network and condition(node, "Ready") != "True":
            found.append(f"node {wanted.name} is not Ready: {_reason(node)}")
        addresses = internal_ips(node)
        if addresses != [wanted.ip]:
            found.append(
                f"node {wanted.name} has the InternalIP {', '.join(addresses) or 'none'}, not {wanted.ip}"
            )
    return found


def _rollout_problems(deployments: Sequence[Object], daemonsets: Sequence[Object]) -> list[str]:
    found = []
    for item in deployments:
        status, wanted = item.get("status", {}), item["spec"].get("replicas", 1)
        ready = status.get("readyReplicas", 0)
        if status.get("observedGeneration") != item["metadata"]["generation"] or ready != wanted:
            found.append(f"deployment {_name(item)}: {ready} of {wanted} ready")
    for item in daemonsets:
        status = item.get("status", {})
        ready, wanted = status.get("numberReady", 0), status.get("desiredNumberScheduled", 0)
        seen = status.get("observedGeneration") == item["metadata"]["generation"]
        # A user's may wait for a node with some label; what the cluster lives by runs somewhere.
        idle = not wanted and not is_own(item)
        if not seen or ready != wanted or idle:
            found.append(f"daemonset {_name(item)}: {ready} of {wanted} ready")
    return found


def pod_problem(pod: Object) -> str:
    """Return why a pod is not as it should be, or an empty string."""
    state = pod_state(pod)
    return f"pod {_name(pod)} is {state}" if state else ""


def pod_state(pod: Object) -> str:
    """Return the phase and the reason of a pod that is not as it should be, or an empty string."""
    status = pod.get("status", {})
    phase = status.get("phase", "Unknown")
    if phase == "Succeeded" or (phase == "Running" and condition(pod, "Ready") == "True"):
        return ""
    return f"{phase}: {_pod_reason(status)}"


def condition(item: Object, kind: str) -> str:
    """Return the status of a condition, such as "True", or "Unknown" when there is none."""
    conditions = item.get("status", {}).get("conditions") or []
    return next((entry["status"] for entry in conditions if entry["type"] == kind), "Unknown")


def role_of(node: Object) -> str:
    """Return a Node's role as kubeadm labels it, "control-plane" or "worker"."""
    labels = node["metadata"].get("labels") or {}
    return "control-plane" if "node-role.kubernetes.io/control-plane" in labels else "worker"


def version_of(node: Object) -> str:
    """Return the version of a Node's kubelet, or an empty string until it has reported."""
    return str(node.get("status", {}).get("nodeInfo", {}).get("kubeletVersion", ""))


def system_id(node: Object) -> str:
    """Return the id that a Node's firmware shows, which is its machine's; empty where it is not told."""
    return str(node.get("status", {}).get("nodeInfo", {}).get("systemUUID", "")).lower()


def machine_of(node: Object) -> str:
    """Return what the machine of a Node of kubelab's is called: a Node with a name of its own is told it."""
    labels = node["metadata"].get("labels") or {}
    return str(labels.get(MACHINE_LABEL, node["metadata"]["name"]))


def internal_ips(node: Object) -> list[str]:
    """Return a Node's InternalIPs."""
    addresses = node.get("status", {}).get("addresses") or []
    return [entry["address"] for entry in addresses if entry["type"] == "InternalIP"]


def restarts(pod: Object) -> int:
    """Return how often a pod's containers restarted, all added up."""
    return sum(entry.get("restartCount", 0) for entry in pod.get("status", {}).get("containerStatuses") or [])


def _reason(node: Object) -> str:
    conditions = node.get("status", {}).get("conditions") or []
    message = next((entry.get("message", "") for entry in conditions if entry["type"] == "Ready"), "")
    return message or "its kubelet has not reported yet"


def _pod_reason(status: Object) -> str:
    # The containers of a pod wait while one of these does not come to its end, and say nothing of it.
    for entry in status.get("initContainerStatuses") or []:
        stopped = _stopped(entry)
        if stopped not in ("", "Completed", "PodInitializing"):
            return f"init container {entry['name']} {stopped}"
    for entry in status.get("containerStatuses") or []:
        if stopped := _stopped(entry):
            return f"container {entry['name']} {stopped}"
    if status.get("reason"):
        # A pod that was evicted has no containers any more.
        return str(status["reason"])
    conditions = status.get("conditions") or []
    return next(
        (e["message"] for e in conditions if e["status"] == "False" and e.get("message")), "not ready yet"
    )


def _stopped(container: Object) -> str:
    """Return why a container does not run, or an empty string."""
    for state in ("waiting", "terminated"):
        detail = container.get("state", {}).get(state)
        if detail:
            return str(detail.get("reason", state))
    return ""


def _name(item: Object) -> str:
    return f"{item['metadata']['namespace']}/{item['metadata']['name']}"
