"""A real lab of three all its life: its file is edited, workers come and go, it is off and on again.

The tests are one story, in this order. Each leaves the lab as its file says, and the file as it was.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from provision.lab.answers import ANSWERS
from provision.providers.libvirt.virsh import Virsh
from tests.e2e.cluster import Cluster

HERE = Path(__file__).parent
FOLDER = HERE.parent.parent / "build" / "e2e-life"
# An edit for every key that is refused on a lab that is there.
REFUSED = {
    "kubernetes": 'kubernetes: "1.35"',
    "cni": "cni: calico",
    "controlPlanes.disk": "controlPlanes: {disk: 13GiB}",
    "workers.disk": "workers: {disk: 13GiB}",
    "network.nodes": "network: {nodes: 192.168.182.0/24}",
    "network.pods": "network: {pods: 10.245.0.0/16}",
    "network.services": "network: {services: 10.112.0.0/12}",
    "network.mtu": "network: {mtu: 1400}",
}
# Where no other value is allowed, an edit ends before there is anything to compare.
ONE_VALUE = {"provider", "runtime"}


@pytest.fixture(scope="module")
def lab() -> Iterator[Cluster]:
    """Return a lab that is made; it is destroyed in the end."""
    made = Cluster.of(FOLDER, HERE / "lab.yaml")
    try:
        made.kubelab("up")
        yield made
    finally:
        made.destroy()


@pytest.fixture(autouse=True)
def told(lab: Cluster, request: pytest.FixtureRequest) -> Iterator[None]:
    """Tell why the first test failed that did, before the next one changes the lab."""
    failed = request.session.testsfailed
    yield
    if request.session.testsfailed > failed == 0:
        lab.tell_why()


@contextmanager
def edited(lab: Cluster, text: str) -> Iterator[None]:
    """Let lab.yaml have other values meanwhile."""
    file = lab.folder / "lab.yaml"
    before = file.read_bytes()
    lab.edit(text)
    try:
        yield
    finally:
        file.write_bytes(before)


def test_a_new_lab_is_as_its_file_says(lab: Cluster) -> None:
    assert lab.ended("diff")[0] == 0


def test_every_key_that_is_refused_has_an_edit_here() -> None:
    parents = {key.rpartition(".")[0] for key in ANSWERS}
    refused = {key for key, answer in ANSWERS.items() if answer == "refused"}
    leaves = {key for key in refused if not key.startswith("cni.")} - (parents - {"cni"}) - {"name"}
    assert leaves - ONE_VALUE == set(REFUSED)


@pytest.mark.parametrize("key", REFUSED)
def test_what_a_lab_cannot_follow_is_refused_before_anything_is_changed(lab: Cluster, key: str) -> None:
    before = seen(lab)
    with edited(lab, REFUSED[key]):
        assert lab.ended("diff")[0] == 1
        code, _ = lab.ended("up")
        (error,) = [event for event in lab.events("up", check=False) if event["event"] == "error"]
    assert code == 2
    assert error["key"] == key
    assert seen(lab) == before


def test_the_proxy_of_the_nodes_follows_the_file(lab: Cluster) -> None:
    with edited(lab, "proxy: http://192.168.181.1:3128"):
        lab.kubelab("up")
        assert lab.ended("diff")[0] == 0
        assert "192.168.181.1:3128" in on(lab, "w1", "systemctl show containerd --property=Environment")
        assert lab.ended("verify", "--quick")[0] == 0
    lab.kubelab("up")
    assert "3128" not in on(lab, "w1", "systemctl show containerd --property=Environment")


def test_broken_pods_of_the_users_own_are_shown_and_never_waited_for(lab: Cluster) -> None:
    try:
        kubectl(lab, "run", "typo", "--image=nosuch.invalid/x:1")
        kubectl(lab, "run", "once", "--image=busybox:1.37", "--restart=Never", "--", "false")
        assert nothing_to_do(lab)
        code, said = lab.ended("status")
        assert code == 0
        assert "typo" in said
        assert lab.ended("verify", "--quick")[0] == 0
    finally:
        kubectl(lab, "delete", "pod", "typo", "once", "--now")


def test_a_dead_proxy_of_the_user_is_not_asked_for_the_lab(lab: Cluster) -> None:
    dead = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    for words in (("status",), ("kubectl", "--", "get", "nodes"), ("verify", "--quick"), ("up",), ("reset",)):
        assert lab.ended(*words, **dead)[0] == 0


def test_a_lab_is_stopped_and_started_in_either_way(lab: Cluster) -> None:
    before = addresses(lab)
    lab.kubelab("stop")
    assert lab.ended("status")[0] == 1
    lab.kubelab("start")
    assert addresses(lab) == before
    lab.kubelab("stop", "--save")
    lab.kubelab("start")
    assert addresses(lab) == before
    assert nothing_to_do(lab)


def test_vagrants_own_verbs_do_no_harm(lab: Cluster) -> None:
    before = addresses(lab)
    subprocess.run(["vagrant", "halt"], cwd=lab.folder, check=True)
    subprocess.run(["vagrant", "up"], cwd=lab.folder, check=True)
    lab.kubelab("up")
    assert addresses(lab) == before
    assert lab.ended("verify", "--quick")[0] == 0


def seen(lab: Cluster) -> tuple[list[str], list[bytes]]:
    """Return what the machines are defined as, and the files that kubelab keeps of the lab."""
    ids = lab.context.machines.ids()
    kept = [lab.folder / "Vagrantfile", lab.context.workspace.decision]
    return [Virsh()("dumpxml", machine) for machine in ids.values()], [file.read_bytes() for file in kept]


def on(lab: Cluster, node: str, script: str) -> str:
    return lab.kubelab("ssh", f"kubelab-life-{node}", "--", "sudo", "sh", "-c", script)


def kubectl(lab: Cluster, *words: str) -> str:
    return lab.kubelab("kubectl", "--", *words)


def nothing_to_do(lab: Cluster) -> bool:
    (result,) = [event for event in lab.events("up") if event["event"] == "result"]
    return not result["data"]["changed"]


def addresses(lab: Cluster) -> dict[str, str]:
    """Return node -> its address and when it became one, of the nodes that are Ready."""
    rows = (line.split() for line in kubectl(lab, "get", "nodes", "--no-headers", "-o", COLUMNS).splitlines())
    return {name: f"{address} {created}" for name, address, created, ready in rows if ready == "True"}


COLUMNS = (
    "custom-columns=NAME:.metadata.name,ADDRESS:.status.addresses[0].address,"
    "CREATED:.metadata.creationTimestamp,READY:.status.conditions[?(@.type=='Ready')].status"
)
