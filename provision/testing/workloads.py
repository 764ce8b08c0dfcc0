"""What tests create in the cluster: namespaces of their own, and Deployments from a few arguments."""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from provision.errors import LabError
from provision.testing.kubectl import LabKubectl

if TYPE_CHECKING:
    from provision.testing.node import LabNode

MANAGED_BY = {"app.kubernetes.io/managed-by": "kubelab-verify"}
LONGEST_SLUG = 40
GRACE_SECONDS = 1
# As a container's first process it ignores SIGTERM, so the pod ends after the grace period.
IDLE = ("tail", "-f", "/dev/null")
ROLLOUT_SECONDS = 60.0


@contextlib.contextmanager
def fresh_namespace(kubectl: LabKubectl, test: str) -> Iterator[str]:
    """Give the name of a new namespace, named after `test`; its deletion is not waited for."""
    slug = re.sub(r"[^a-z0-9]+", "-", test.lower().removeprefix("test_"))[:LONGEST_SLUG].strip("-")
    name = f"{slug or 'test'}-{secrets.token_hex(3)}"
    try:
        _make_namespace(kubectl, name)
    except BaseException:
        with contextlib.suppress(LabError):
            _remove_namespace(kubectl, name)
        raise
    try:
        yield name
    finally:
        _remove_namespace(kubectl, name)


@dataclass(frozen=True)
class Deployed:
    """A Deployment in the cluster; its pods have the label app=NAME."""

    kubectl: LabKubectl
    name: str
    namespace: str
    replicas: int

    def pods(self) -> list[dict[str, Any]]:
        """Return the pods that are not being deleted."""
        found = self.kubectl.items("pods", "-n", self.namespace, "-l", f"app={self.name}")
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def wait(self, replicas: int | None = None, timeout: float = ROLLOUT_SECONDS) -> None:
        """Wait until the rollout is complete and `replicas` pods are Ready, by default as many as asked for.

        Raises WaitTimeout, whose message says what the pods wait for.
        """
        wanted = self.replicas if replicas is None else replicas

        def complete(answer: dict[str, Any]) -> bool:
            (deployment,) = [item for item in answer["items"] if item["kind"] == "Deployment"]
            status = deployment.get("status", {})
            counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "readyReplicas")]
            known = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
            return known and counts == [wanted] * 3

        self.kubectl.wait_for(
            "deployments,pods",
            "-n",
            self.namespace,
            "-l",
            f"app={self.name}",
            until=complete,
            timeout=timeout,
            what=f"the Deployment {self.name} with {wanted} Ready pods",
        )


@dataclass
class Deployer:
    """Makes Deployments for one test; `remove` deletes those outside the test's own namespace."""

    kubectl: LabKubectl
    image: Callable[[], str]
    own_namespace: Callable[[], str]

    def __post_init__(self) -> None:
        self._elsewhere: list[Deployed] = []

    def __call__(
        self,
        name: str,
        *,
        replicas: int = 1,
        image: str | None = None,
        command: Sequence[str] | None = None,
        port: int | None = None,
        node: LabNode | str | None = None,
        namespace: str | None = None,
        labels: Mapping[str, str] | None = None,
        wait: bool = True,
    ) -> Deployed:
        """Make a Deployment and wait until its pods are Ready.

        The default image is the lab's busybox. Without `command` it serves the pod's name by HTTP on `port`,
        or idles when there is no port. A `port` also adds a readiness probe. `node` binds the pods to one
        node, `labels` are further labels of the pods, `namespace` is the test's own unless given.
        """
        if command is None and image is None:
            command = _serve(port) if port is not None else IDLE
        deployed = Deployed(self.kubectl, name, namespace or self.own_namespace(), replicas)
        if namespace is not None:
            self._elsewhere.append(deployed)
        pod = pod_spec(
            name, image or self.image(), command=command, port=port, node=str(node) if node else ""
        )
        pod_labels = {**(labels or {}), "app": name}
        self.kubectl.apply(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": name, "namespace": deployed.namespace, "labels": {"app": name}},
                "spec": {
                    "replicas": replicas,
                    "selector": {"matchLabels": {"app": name}},
                    "template": {"metadata": {"labels": pod_labels}, "spec": pod},
                },
            }
        )
        if wait:
            deployed.wait()
        return deployed

    def remove(self) -> None:
        """Delete the Deployments in namespaces other than the test's own."""
        for each in self._elsewhere:
            self.kubectl.delete(
                "deployment", each.name, "-n", each.namespace, "--wait=false", "--ignore-not-found"
            )


def pod_spec(
    name: str, image: str, *, command: Sequence[str] | None = None, port: int | None = None, node: str = ""
) -> dict[str, Any]:
    """Return the spec of a pod with one container, called `name`, that ends quickly."""
    container: dict[str, Any] = {"name": name, "image": image, "imagePullPolicy": "IfNotPresent"}
    if command is not None:
        container["command"] = list(command)
    if port is not None:
        container["ports"] = [{"containerPort": port}]
        container["readinessProbe"] = {"tcpSocket": {"port": port}, "periodSeconds": 1}
    spec: dict[str, Any] = {"containers": [container], "terminationGracePeriodSeconds": GRACE_SECONDS}
    if node:
        spec["nodeName"] = node
    return spec


def _serve(port: int) -> list[str]:
    return [
        "sh",
        "-c",
        f"mkdir -p /tmp/www && hostname >/tmp/www/index.html && exec httpd -f -p {port} -h /tmp/www",
    ]


def _make_namespace(kubectl: LabKubectl, name: str) -> None:
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": MANAGED_BY}})
    # Without the service account a pod is refused; without the ConfigMap it waits for its volume.
    kubectl.wait_for(
        "serviceaccount/default",
        "configmap/kube-root-ca.crt",
        "-n",
        name,
        until=lambda answer: answer["items"],
        what=f"the service account of the new namespace {name}",
    )


def _remove_namespace(kubectl: LabKubectl, name: str) -> None:
    kubectl.delete("namespace", name, "--wait=false", "--ignore-not-found")
