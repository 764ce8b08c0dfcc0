"""Every row on a real cluster: broken so, exactly the named tests are red; then put back, and green."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from provision.host.root import run_as_root
from tests.e2e.cluster import Cluster
from tests.sabotage.row import Sabotage
from tests.sabotage.table import rows

LAB = Path(__file__).parent.parent / "e2e" / "lab.yaml"
FOLDER = Path(__file__).parent.parent.parent / "build" / "sabotage"
NAME = "kubelab-e2e"
# Nobody gives an address there.
BRIDGE = "kubelab-t0"
ROWS = rows()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Return a cluster that `kubelab up` made, with its snapshot `ready`."""
    lab = Cluster(FOLDER)
    FOLDER.mkdir(parents=True, exist_ok=True)
    shutil.copy(LAB, FOLDER / "lab.yaml")
    try:
        lab.edit(f"network: {{bridge: {BRIDGE}}}")
        lab.edit("packages: [tree]")
        lab.edit("addons: default")
        lab.edit("ports: [{host: 18080, service: default/kubernetes, port: 443}]")
        run_as_root(["ip", "link", "add", BRIDGE, "type", "bridge"], say=print, deadline=30)
        lab.kubelab("up")
        yield lab
    finally:
        lab.destroy()
        run_as_root(["ip", "link", "delete", BRIDGE], say=print, deadline=30)


@pytest.mark.parametrize("row", ROWS, ids=[row.test.removeprefix("test_") for row in ROWS])
def test_the_named_tests_alone_turn_red(cluster: Cluster, row: Sabotage) -> None:
    named = {row.test, *row.also}
    try:
        sabotage(cluster, row)
        failures = red(cluster, named)
        assert set(failures) == named
        assert failures[row.test] <= {f"{NAME}-{row.node}", ""}
    finally:
        cluster.kubelab("reset")


def test_all_is_green_in_the_end(cluster: Cluster) -> None:
    cluster.kubelab("verify")


def sabotage(cluster: Cluster, row: Sabotage) -> None:
    if row.objects:
        listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(row.objects)})
        cluster.context.kubectl("apply", "-f", "-", stdin=listed)
    for command in row.kubectl:
        cluster.kubelab("kubectl", "--", *command)
    if row.host:
        subprocess.run(["sh", "-euc", row.host], cwd=cluster.folder, check=True)
    if row.script:
        cluster.kubelab("ssh", f"{NAME}-{row.node}", "--", "sudo", "sh", "-c", row.script)


def red(cluster: Cluster, named: set[str]) -> dict[str, set[str]]:
    """Run the files that `named` tests are in; return the red tests, and the nodes each is red for."""
    concerns = {test.partition("::")[0].removeprefix("test_").removesuffix(".py") for test in named}
    events = cluster.events("verify", "--only", ",".join(sorted(concerns)), check=False)
    (result,) = (event["data"] for event in events if event["event"] == "result")
    failures: dict[str, set[str]] = {}
    for failure in result["failures"]:
        test = failure["id"].rpartition("/")[2].partition("[")[0]
        failures.setdefault(test, set()).add(failure["node"] or "")
    return failures
