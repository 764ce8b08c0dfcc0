"""The add-ons of lab.yaml, each by what it is for."""

from __future__ import annotations

import pytest

from provision.checks.walk import START_SECONDS, Walk
from provision.checks.walk_objects import CLAIM, KEEPER, MOUNTS, claim, keeper
from provision.testing.lab import LabUnderTest

WRITE, READ = 'echo "$1" >"$2"', 'cat "$1"'
# A pod makes the folder of the volume before the one that uses it can start.
VOLUME_SECONDS = 3 * START_SECONDS


def needs(lab: LabUnderTest, name: str) -> None:
    """Skip a test unless lab.yaml has the add-on."""
    if name not in lab.config.addons:
        pytest.skip(f"lab.yaml does not have the add-on {name}")


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
