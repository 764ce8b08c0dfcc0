"""The walk-through: typical workloads of a beginner's course, in one namespace that its checks share."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from provision.checks import from_host
from provision.checks.walk_objects import HOST_FOLDERS, WEB, WEB_REPLICAS, Site, standing
from provision.cluster.health import condition
from provision.errors import LabError, ToolFailed, WaitTimeout
from provision.testing.kubectl import LabKubectl
from provision.testing.lab import LabUnderTest
from provision.testing.node import LabNode
from provision.testing.workloads import Deployed, fresh_namespace

# Seconds at full speed: until a pod is Ready; the minimum that a check waits for a pod; until every node's
# service rules contain it.
START_SECONDS = 30.0
LEAST_SECONDS = 3.0
RULES_SECONDS = 3.0
# Seconds for a command that ends by itself unless something hangs.
RUN_SECONDS = 60.0


@dataclass(frozen=True)
class Peer:
    """A pod that is bound to a node: a web server, in which checks also run their requests."""

    node: str
    pod: str
    ip: str


class Walk:
    """The namespace with all objects. Each check waits only for the objects that it needs."""

    def __init__(self, lab: LabUnderTest, kubectl: LabKubectl, namespace: str) -> None:
        self.lab = lab
        self.kubectl = kubectl
        nodes = [node.name for node in lab.nodes]
        self.site = Site(
            namespace=namespace,
            image=lab.image,
            nodes=nodes,
            homes=[node.name for node in lab.workers] or nodes,
            linger=max(2, int(lab.scaled(1))),
        )
        self.web = Deployed(kubectl, WEB, namespace, WEB_REPLICAS)
        self._begun = lab.context.clock.now()
        self._peers: dict[str, Peer] = {}
        self._refused = ""

    @property
    def namespace(self) -> str:
        return self.site.namespace

    @property
    def domain(self) -> str:
        """Return the DNS domain of the cluster."""
        return self.lab.config.kubeadm.cluster_domain

    @property
    def home(self) -> LabNode:
        """Return the node of the pod with the volumes."""
        return self.lab.node(self.site.homes[0])

    def start(self) -> None:
        """Create everything without waiting; a refused object fails the checks that need it."""
        try:
            self.kubectl.apply(standing(self.site))
        except ToolFailed as error:
            self._refused = error.details

    def clean(self) -> None:
        """Remove the hostPath folder, which is not in the namespace."""
        # That a node does not answer is reported by other checks.
        with contextlib.suppress(LabError):
            self.home.run(
                "rm -rf %s; rmdir --ignore-fail-on-non-empty %s", self.site.host_folder, HOST_FOLDERS
            )

    def remaining(self) -> float:
        """Return how long to wait for objects created at the start, in seconds at full speed.

        So a node that starts no pods delays the checks once, not each of them.
        """
        passed = (self.lab.context.clock.now() - self._begun) / self.lab.scaled(1)
        return max(START_SECONDS - passed, LEAST_SECONDS)

    def wait_for(
        self,
        *get_args: str,
        until: Callable[[dict[str, Any]], object],
        what: str,
        timeout: float = START_SECONDS,
    ) -> dict[str, Any]:
        """Wait for something in the namespace (see LabKubectl.wait_for); raises WaitTimeout."""
        try:
            return self.kubectl.wait_for(
                *get_args, "-n", self.namespace, until=until, what=what, timeout=timeout
            )
        except WaitTimeout as late:
            if not self._refused:
                raise
            raise WaitTimeout(f"{late}; kubectl apply had failed: {self._refused}", hint=late.hint) from None

    def ready_pod(self, name: str, timeout: float) -> dict[str, Any]:
        """Return a pod once it is Ready; raises WaitTimeout."""
        return self.wait_for(
            "pod",
            name,
            until=lambda pod: condition(pod, "Ready") == "True",
            what=f"the Ready pod {name}",
            timeout=timeout,
        )

    def peer(self, node: str) -> Peer:
        """Return the pod that is bound to `node`, once it is Ready; raises WaitTimeout."""
        if node not in self._peers:
            pod = self.ready_pod(f"on-{node}", self.remaining())
            self._peers[node] = Peer(node, pod["metadata"]["name"], pod["status"]["podIP"])
        return self._peers[node]

    def peers(self) -> list[Peer]:
        return [self.peer(node) for node in self.site.nodes]

    def others(self, node: str) -> list[Peer]:
        """Return the pods on all nodes but `node`; skips the check when there is no other."""
        if self.site.nodes == [node]:
            pytest.skip("the lab has one node only")
        return [self.peer(other) for other in self.site.nodes if other != node]

    def run(self, node: str, script: str, *arguments: object) -> str:
        """Run a shell script in the pod on `node` and return its output; raises ToolFailed."""
        words = ["sh", "-c", script, "sh", *map(str, arguments)]
        return self.kubectl.exec(self.namespace, self.peer(node).pod, *words, timeout=RUN_SECONDS)

    def service(self, name: str) -> dict[str, Any]:
        """Return the spec of a Service."""
        spec: dict[str, Any] = self.kubectl("get", "service", name, "-n", self.namespace)["spec"]
        return spec

    def defines(self, *kinds: str) -> bool:
        """Return whether the cluster has a CustomResourceDefinition of one of these names."""
        names = self.kubectl.text("get", "customresourcedefinitions", "-o", "name").split()
        return any(name.rpartition("/")[2] in kinds for name in names)

    def fetch(self, url: str, seconds: float = RULES_SECONDS) -> str:
        """Return the answer of `url` to the host, once the service rules exist; raises WaitTimeout."""
        return from_host.fetch_soon(url, self.lab.scaled(seconds), self.lab.context.clock)

    def fetch_forwarded(self, pod: str, port: int) -> str:
        """Return a pod's answer to the host through `kubectl port-forward`; raises ToolFailed, OSError."""
        kubectl = self.lab.context.kubectl
        return from_host.fetch_forwarded(
            kubectl, self.namespace, pod, port, deadline=self.lab.scaled(RULES_SECONDS)
        )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the Jobs last of the checks, when the CronJob is due; then the user's tests, which may reset."""
    here = Path(__file__).parent
    items.sort(key=lambda item: (item.path.parent != here, item.path == here / "test_jobs.py"))


@contextlib.contextmanager
def begin(lab: LabUnderTest, kubectl: LabKubectl) -> Iterator[Walk]:
    """Give the walk-through, created but not waited for; everything is removed afterwards."""
    with fresh_namespace(kubectl, "kubelab-verify") as namespace:
        walk = Walk(lab, kubectl, namespace)
        try:
            walk.start()
            yield walk
        finally:
            walk.clean()


@pytest.fixture(scope="session")
def walk(lab: LabUnderTest, kubectl: LabKubectl) -> Iterator[Walk]:
    """The walk-through, shared by all its checks."""
    with begin(lab, kubectl) as begun:
        yield begun
