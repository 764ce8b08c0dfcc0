"""One real cluster for all tests here: made by `kubelab up`, removed by `kubelab destroy`."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from http.client import HTTPException
from pathlib import Path

import pytest
import testinfra
from testinfra.host import Host

from provision.cluster.health import restarts
from provision.cluster.kubectl import Kubectl
from provision.engine.waiting import RealClock, poll_until
from provision.errors import ToolFailed
from tests.e2e.cluster import Cluster
from tests.e2e.kubectl import patient_kubectl

FAILED = (ToolFailed, OSError, HTTPException)
HERE = Path(__file__).parent
CLUSTER = pytest.StashKey[Cluster]()
FOLDER = HERE.parent.parent / "build" / "e2e"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell why the first test failed that did, or its fixtures, before others change the cluster."""
    report = yield
    cluster = item.session.stash.get(CLUSTER, None)
    if report.failed and not item.session.testsfailed and cluster is not None:
        cluster.tell_why()
    return report


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Return a cluster that `kubelab up` has made, going on from two runs that were killed."""
    lab = Cluster.of(FOLDER, HERE / "lab.yaml")
    try:
        lab.up_killed_in("machines")
        lab.up_killed_in("control-plane")
        lab.kubelab("up")
        request.session.stash[CLUSTER] = lab
        yield lab
    except BaseException:
        lab.tell_why()
        raise
    finally:
        lab.destroy()


@pytest.fixture(scope="session")
def kubectl(cluster: Cluster) -> Kubectl:
    return patient_kubectl(cluster.context)


@pytest.fixture(scope="session", autouse=True)
def restarts_of_up(kubectl: Kubectl) -> dict[str, int]:
    """Return uid -> restarts of the pods as `up` left them, before any test."""
    return {pod["metadata"]["uid"]: restarts(pod) for pod in kubectl.items("pods", "-A")}


@pytest.fixture(scope="session")
def image(cluster: Cluster) -> str:
    """Return the image for test workloads, which every node has."""
    return cluster.context.bundle.image("busybox").ref


@pytest.fixture(params=["kubelab-e2e-cp1", "kubelab-e2e-w1"])
def host(request: pytest.FixtureRequest, cluster: Cluster) -> Host:
    """Return a node as testinfra sees it, for every node in turn."""
    return testinfra.get_host(
        f"ssh://{request.param}",
        ssh_config=str(cluster.context.workspace.ssh_config),
        timeout=60,
        sudo=True,
    )


@pytest.fixture(scope="session")
def wait_for(cluster: Cluster):  # type: ignore[no-untyped-def]
    """Return a function that polls until something real is true, with a deadline that suits the machines.

    What fails is tried again: rules and names reach every node a while after a pod is Ready.
    """

    def wait(probe, what: str, seconds: float = 60) -> object:  # type: ignore[no-untyped-def]
        deadline = cluster.context.scaled(seconds)
        return poll_until(probe, what=what, deadline=deadline, clock=RealClock(), errors=FAILED)

    return wait
