"""A real lab with its add-ons: made with two of them, given the third, used, off and on, and put back.

The tests are one story, in this order.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from provision.checks.from_host import fetch_soon
from tests.e2e.cluster import Cluster

HERE = Path(__file__).parent
FOLDER = HERE.parent.parent / "build" / "e2e-addons"
LAB = "kubelab-addons"
NODES = {f"{LAB}-cp1", f"{LAB}-w1"}
BUSYBOX = "docker.io/library/busybox:1.37"
FIRST, LAST = IPv4Address("192.168.183.192"), IPv4Address("192.168.183.254")
NOTE = "/data/note"
WAIT = "--timeout=900s"
CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "data", "namespace": "default"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
}
KEEPER = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "keeper", "namespace": "default"},
    "spec": {
        "replicas": 1,
        "selector": {"matchLabels": {"app": "keeper"}},
        "template": {
            "metadata": {"labels": {"app": "keeper"}},
            "spec": {
                "containers": [
                    {
                        "name": "keeper",
                        "image": BUSYBOX,
                        "command": ["tail", "-f", "/dev/null"],
                        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                    }
                ],
                "terminationGracePeriodSeconds": 1,
                "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
            },
        },
    },
}


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


def test_a_new_lab_has_the_addons_of_its_file_and_nothing_to_do(lab: Cluster) -> None:
    assert states(lab) == {"storage": "ready", "loadbalancer": "ready", "metrics-server": "not installed"}
    assert lab.ended("diff")[0] == 0
    assert result(lab, "up")["changed"] == []
    assert lab.ended("verify", "--only", "addons,services")[0] == 0


def test_an_addon_comes_to_a_lab_that_is_there(lab: Cluster) -> None:
    lab.kubelab("addon", "enable", "metrics-server")
    assert "metrics-server" in (lab.folder / "lab.yaml").read_text()
    assert set(states(lab).values()) == {"ready"}
    assert result(lab, "up")["changed"] == []


def test_top_tells_of_every_node_whose_kubelet_is_verified(lab: Cluster) -> None:
    assert lab.ended("verify", "--only", "addons")[0] == 0
    assert {line.split()[0] for line in kubectl(lab, "top", "nodes", "--no-headers").splitlines()} == NODES
    pods = json.loads(kubectl(lab, "get", "pods", "-A", "-l", "app=kubelab-metrics-server", "-o", "json"))
    (container,) = pods["items"][0]["spec"]["containers"]
    assert not any("insecure" in argument for argument in container["args"])
    for node in NODES:
        script = "openssl x509 -in /var/lib/kubelet/pki/kubelet.crt -noout -issuer -ext subjectAltName"
        said = lab.kubelab("ssh", node, "--", "sudo", "sh", "-c", script)
        assert "kubernetes" in said
        assert node in said
    # What each of them costs while nothing is done.
    print(kubectl(lab, "top", "pods", "-A"))


def test_the_host_reaches_a_service_of_the_type_load_balancer(lab: Cluster) -> None:
    serve = ("sh", "-c", "echo hello >/tmp/index.html; exec httpd -f -p 80 -h /tmp")
    kubectl(lab, "run", "web", f"--image={BUSYBOX}", "--labels=app=web", "--", *serve)
    kubectl(lab, "wait", "pod/web", "--for=condition=Ready", WAIT)
    kubectl(lab, "expose", "pod", "web", "--port=80", "--type=LoadBalancer")
    assert FIRST <= address(lab) <= LAST
    assert fetched(lab) == "hello"


def test_a_volume_keeps_its_data_while_the_lab_is_off(lab: Cluster) -> None:
    file = lab.folder / "volume.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [CLAIM, KEEPER]}))
    kubectl(lab, "apply", "-f", str(file))
    write(lab, "before")
    before = address(lab)
    lab.kubelab("stop")
    lab.kubelab("start")
    assert read(lab) == "before"
    assert address(lab) == before
    kubectl(lab, "wait", "pod/web", "--for=condition=Ready", WAIT)
    assert fetched(lab) == "hello"
    assert set(states(lab).values()) == {"ready"}


def test_a_restore_brings_back_the_data_of_its_time(lab: Cluster) -> None:
    lab.kubelab("snapshot", "save", "written")
    write(lab, "after")
    lab.kubelab("snapshot", "restore", "written")
    assert read(lab) == "before"
    assert fetched(lab) == "hello"
    assert lab.ended("verify", "--only", "addons,services")[0] == 0


def test_storage_in_use_is_not_taken_away(lab: Cluster) -> None:
    before = (lab.folder / "lab.yaml").read_bytes()
    events = lab.events("addon", "disable", "storage", check=False)
    (error,) = [event for event in events if event["event"] == "error"]
    assert error["exit_code"] == 2
    assert "default/data" in error["message"]
    assert (lab.folder / "lab.yaml").read_bytes() == before
    assert states(lab)["storage"] == "ready"


def test_reset_leads_to_the_addons_of_that_time_and_up_to_those_of_the_file(lab: Cluster) -> None:
    # An image that lab.yaml asks for now was on no node then: the quick checks say so.
    assert lab.ended("reset")[0] == 3
    assert states(lab)["metrics-server"] == "not installed"
    lab.kubelab("up")
    assert set(states(lab).values()) == {"ready"}
    assert lab.ended("verify", "--only", "addons")[0] == 0


def test_addons_that_are_not_in_use_go_and_come_back(lab: Cluster) -> None:
    lab.kubelab("addon", "disable", "storage", "loadbalancer", "metrics-server")
    assert set(states(lab).values()) == {"not installed"}
    for kind in ("storageclasses", "customresourcedefinitions"):
        assert kubectl(lab, "get", kind, "-o", "name").strip() == ""
    assert "metrics" not in kubectl(lab, "get", "apiservices", "-o", "name")
    assert lab.ended("verify", "--quick")[0] == 0
    lab.kubelab("addon", "enable", "storage")
    assert states(lab)["storage"] == "ready"
    assert lab.ended("verify", "--only", "addons")[0] == 0


def kubectl(lab: Cluster, *words: str) -> str:
    return lab.kubelab("kubectl", "--", *words)


def result(lab: Cluster, *words: str) -> dict[str, Any]:
    (found,) = [event["data"] for event in lab.events(*words) if event["event"] == "result"]
    return dict(found)


def states(lab: Cluster) -> dict[str, str]:
    """Return each add-on and how it is."""
    return {each["name"]: each["state"] for each in result(lab, "addon", "list")["addons"]}


def address(lab: Cluster) -> IPv4Address:
    """Return the EXTERNAL-IP of the Service, once it has one."""
    given = "--for=jsonpath={.status.loadBalancer.ingress[0].ip}"
    kubectl(lab, "wait", "service/web", given, WAIT)
    path = "jsonpath={.status.loadBalancer.ingress[0].ip}"
    return IPv4Address(kubectl(lab, "get", "service", "web", "-o", path).strip())


def fetched(lab: Cluster) -> str:
    return fetch_soon(f"http://{address(lab)}/", lab.context.scaled(60), lab.context.clock)


def write(lab: Cluster, text: str) -> None:
    kubectl(lab, "rollout", "status", "deployment/keeper", WAIT)
    kubectl(lab, "exec", "deployment/keeper", "--", "sh", "-c", f"echo {text} >{NOTE}; sync")


def read(lab: Cluster) -> str:
    kubectl(lab, "rollout", "status", "deployment/keeper", WAIT)
    return kubectl(lab, "exec", "deployment/keeper", "--", "cat", NOTE).strip()
