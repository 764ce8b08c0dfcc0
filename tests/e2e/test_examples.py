"""The examples for users on the real cluster, by the installed wheel, far from the checkout."""

from __future__ import annotations

import shutil
from pathlib import Path
from xml.etree import ElementTree

from provision.cluster.kubectl import Kubectl
from provision.testing.workloads import MANAGED_BY
from tests.e2e.cluster import Cluster
from tests.packaging import wheel

EXAMPLES = wheel.CHECKOUT / "examples" / "tests"


def test_they_pass(cluster: Cluster, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES, tmp_path / "mine", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "dist").mkdir()
    venv = wheel.install(wheel.build(tmp_path / "dist"), tmp_path)
    argv = ["python", "-m", "pytest", f"--lab={cluster.folder}", "--junit-xml=results.xml", "mine"]
    print(wheel.run(venv, tmp_path, *argv, "-v", "--durations=0", "--strict-markers"))
    results = ElementTree.parse(tmp_path / "results.xml").getroot().iter("testcase")
    ran = {case.attrib["classname"].rpartition(".")[2] for case in results if case.find("skipped") is None}
    assert ran == {file.stem for file in EXAMPLES.glob("test_*.py")}


def test_they_leave_nothing(cluster: Cluster, kubectl: Kubectl, wait_for) -> None:  # type: ignore[no-untyped-def]
    (data,) = [event["data"] for event in cluster.events("snapshot", "list") if event["event"] == "result"]
    assert [each["name"] for each in data["snapshots"]] == ["ready"]
    assert "widgets" not in kubectl("get", "customresourcedefinitions", "--output=name")
    labels = ",".join(f"{name}={value}" for name, value in MANAGED_BY.items())
    wait_for(lambda: kubectl.items("namespaces", f"--selector={labels}") == [], "the end of the namespaces")
    cluster.kubelab("status")
