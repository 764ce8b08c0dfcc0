"""Fixtures of the checks: the nodes and the cluster, each queried once."""

from __future__ import annotations

import pytest

from provision.checks import facts as node_facts
from provision.checks import state
from provision.checks.facts import CNI_FOLDER, AllFacts
from provision.checks.state import ClusterState
from provision.checks.walk import pytest_collection_modifyitems, walk  # noqa: F401
from provision.testing.kubectl import LabKubectl
from provision.testing.lab import LabUnderTest


@pytest.fixture(scope="session")
def facts(lab: LabUnderTest) -> AllFacts:
    """Node name -> the facts of the node."""
    return node_facts.gather(lab.context)


@pytest.fixture(scope="session")
def cluster(kubectl: LabKubectl) -> ClusterState:
    """The objects of the cluster."""
    return state.look(kubectl)


@pytest.fixture(scope="session")
def pod_network(lab: LabUnderTest, facts: AllFacts) -> None:
    """Skip a test while lab.yaml says `cni: none` and the user has not installed a pod network."""
    if lab.context.cni.name == "none" and not any(said.below(f"{CNI_FOLDER}/") for said in facts.values()):
        pytest.skip("lab.yaml says `cni: none`, and no pod network is installed yet")
