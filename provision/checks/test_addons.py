"""The add-ons of lab.yaml, each by what it is for."""

from __future__ import annotations

import pytest

from provision.checks.walk import START_SECONDS, Walk
from provision.checks.walk_objects import CLAIM, KEEPER, MOUNTS, claim, keeper
from provision.errors import ToolFailed
from provision.testing.kubectl import LabKubectl
from provision.testing.lab import LabUnderTest

WRITE, READ = 'echo "$1" >"$2"', 'cat "$1"'
# A pod makes the folder of the volume before the one that uses it can start.
VOLUME_SECONDS = 3 * START_SECONDS
# A node that has just come back is asked again within a minute.
TOP_SECONDS = 60.0


def needs(lab: LabUnderTest, name: str) -> None:
    """Skip a test unless lab.yaml has the add-on."""
    if name not in lab.config.addons:
        pytest.skip(f"lab.yaml does not have the add-on {name}")


@pytest.mark.look(
    "kubelab kubectl -- logs -n kube-system deploy/metrics-server; kubelab up signs certificates"
)
def test_top_answers_for_every_node(lab: LabUnderTest, kubectl: LabKubectl) -> None:
    needs(lab, "metrics-server")
    wanted = {node.name for node in lab.nodes}
    clock, seen = lab.context.clock, "no answer"
    end = clock.now() + lab.scaled(TOP_SECONDS)
    while True:
        try:
            lines = kubectl.text("top", "nodes", "--no-headers").splitlines()
            names = {line.split()[0] for line in lines if line.strip() and "unknown" not in line}
            seen = f"the use of {', '.join(sorted(names)) or 'no node'}"
        except ToolFailed as error:
            names, seen = set(), error.details or str(error)
        if names >= wanted:
            return
        assert clock.now() < end, f"kubectl top nodes tells {seen}, not that of {', '.join(sorted(wanted))}"
        clock.sleep(1.0)


@pytest.mark.changes
@pytest.mark.look(
    "kubelab kubectl -- get pvc -A; kubelab kubectl -- logs -n kubelab-storage deploy/provisioner"
)
def test_a_claim_gets_a_volume_whose_data_outlives_its_pod(walk: Walk) -> None:
    needs(walk.lab, "storage")
    path = f"{MOUNTS}/{CLAIM}/note"
    walk.kubectl.apply([claim(walk.site), keeper(walk.site)])
    first = walk.ready_pod(KEEPER, VOLUME_SECONDS)
    walk.kubectl.text(
        "exec", "-n", walk.namespace, KEEPER, "--", "sh", "-c", WRITE, "sh", walk.namespace, path
    )
    walk.kubectl.delete("pod", KEEPER, "-n", walk.namespace)
    walk.kubectl.apply(keeper(walk.site))
    second = walk.ready_pod(KEEPER, START_SECONDS)
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    seen = walk.kubectl.text("exec", "-n", walk.namespace, KEEPER, "--", "sh", "-c", READ, "sh", path)
    assert seen.strip() == walk.namespace, f"the next pod reads {seen!r} from the volume"
