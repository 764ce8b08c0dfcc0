"""The fixtures of the pytest plugin."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from provision.testing.failures import fail
from provision.testing.opening import lab_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from provision.testing.kubectl import LabKubectl
    from provision.testing.lab import LabUnderTest
    from provision.testing.node import LabNode
    from provision.testing.snapshot import LabSnapshots
    from provision.testing.workloads import Deployer


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest) -> Iterator[LabUnderTest]:
    """The lab of --lab: config, inventory, nodes, version, image, scaled(seconds)."""
    from provision.errors import LabError

    try:
        opened = lab_of(request.config)
        opened.require_up()
    except LabError as error:
        fail(error)
    yield opened
    opened.disconnect()


@pytest.fixture(scope="session")
def control_plane(lab: LabUnderTest) -> LabNode:
    """The first control plane: a testinfra host, as root."""
    return lab.control_plane


@pytest.fixture(scope="session")
def workers(lab: LabUnderTest) -> list[LabNode]:
    """All workers: testinfra hosts, as root."""
    return lab.workers


@pytest.fixture(scope="session")
def nodes(lab: LabUnderTest) -> list[LabNode]:
    """All nodes, control planes first: testinfra hosts, as root."""
    return lab.nodes


@pytest.fixture(scope="session")
def _find_node(lab: LabUnderTest) -> Callable[[str], LabNode]:
    return lab.node


@pytest.fixture(scope="session")
def _find_worker(lab: LabUnderTest) -> Callable[[str], LabNode]:
    return lab.node


@pytest.fixture(scope="module")
def node(request: pytest.FixtureRequest, _find_node: Callable[[str], LabNode]) -> LabNode:
    """Every node in turn, its name the test's parameter: a testinfra host, as root."""
    return _find_node(request.param)


@pytest.fixture(scope="module")
def worker(request: pytest.FixtureRequest, _find_worker: Callable[[str], LabNode]) -> LabNode:
    """Every worker in turn, its name the test's parameter: a testinfra host, as root."""
    return _find_worker(request.param)


@pytest.fixture(scope="session")
def kubectl(lab: LabUnderTest) -> LabKubectl:
    """kubectl of the lab's version: kubectl("get", "nodes") is parsed JSON; items, apply, wait_for, ..."""
    from provision.errors import LabError

    try:
        lab.kubectl.check()
    except LabError as error:
        fail(error)
    return lab.kubectl


@pytest.fixture
def namespace(request: pytest.FixtureRequest, kubectl: LabKubectl) -> Iterator[str]:
    """The name of a fresh namespace, deleted after the test."""
    from provision.testing.workloads import fresh_namespace

    with fresh_namespace(kubectl, getattr(request.node, "originalname", request.node.name)) as name:
        yield name


@pytest.fixture(scope="module")
def module_namespace(request: pytest.FixtureRequest, kubectl: LabKubectl) -> Iterator[str]:
    """The name of a fresh namespace for all tests of a module, deleted after them."""
    from provision.testing.workloads import fresh_namespace

    with fresh_namespace(kubectl, request.path.stem) as name:
        yield name


@pytest.fixture
def deploy(request: pytest.FixtureRequest, lab: LabUnderTest, kubectl: LabKubectl) -> Iterator[Deployer]:
    """deploy(name, replicas=1, port=None, ...) makes a Deployment, waits for it, and gives its pods()."""
    from provision.testing.workloads import Deployer

    deployer = Deployer(kubectl, lambda: lab.image, lambda: str(request.getfixturevalue("namespace")))
    yield deployer
    deployer.remove()


@pytest.fixture(scope="session")
def lab_snapshot(lab: LabUnderTest) -> LabSnapshots:
    """The lab's snapshots: save(name, note), restore(name), delete(name)."""
    from provision.testing.snapshot import LabSnapshots

    return LabSnapshots(lab)
