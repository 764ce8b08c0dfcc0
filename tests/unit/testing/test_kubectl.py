"""kubectl, namespaces and Deployments as a test uses them, over a kubectl that answers from a script."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from provision.errors import LabError, ToolFailed, WaitTimeout
from provision.testing.kubectl import LabKubectl, describe
from provision.testing.workloads import Deployer, fresh_namespace
from tests.fakes.lab import Lab, make_lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    made = make_lab(tmp_path, factor=10.0)
    made.ctx.workspace.kubeconfig.write_text("")
    return made


@pytest.fixture
def kubectl(lab: Lab) -> LabKubectl:
    return LabKubectl(lab.ctx)


def pod(name: str, phase: str = "Running", **status: Any) -> dict[str, Any]:
    return {"kind": "Pod", "metadata": {"name": name}, "status": {"phase": phase, **status}}


def deployment(*, wanted: int, ready: int, observed: int = 2) -> dict[str, Any]:
    return {
        "kind": "Deployment",
        "metadata": {"name": "web", "generation": 2},
        "status": {
            "observedGeneration": observed,
            "replicas": wanted,
            "updatedReplicas": wanted,
            "readyReplicas": ready,
        },
    }


def answer(lab: Lab, pattern: str, *objects: dict[str, Any]) -> None:
    lab.kubectl.answer(pattern, json.dumps({"kind": "List", "items": objects}))


def test_answers_are_parsed(lab: Lab, kubectl: LabKubectl) -> None:
    answer(lab, "get pods -A -o json", pod("a"), pod("b"))
    assert kubectl("get", "pods", "-A")["kind"] == "List"
    assert [each["metadata"]["name"] for each in kubectl.items("pods", "-A")] == ["a", "b"]


def test_text_comes_as_it_is_and_input_goes_in(lab: Lab, kubectl: LabKubectl) -> None:
    lab.kubectl.answer("logs web", "line\n")
    assert kubectl.text("logs", "web", stdin="input") == "line\n"
    assert lab.kubectl.stdin == "input"


@pytest.mark.parametrize("document", [{"kind": "Pod"}, [{"kind": "Pod"}]])
def test_objects_are_applied(lab: Lab, kubectl: LabKubectl, document: Any) -> None:
    lab.kubectl.answer("apply -f -")
    kubectl.apply(document)
    assert json.loads(lab.kubectl.stdin)["items"] == [{"kind": "Pod"}]
    kubectl.apply("kind: Pod")
    assert lab.kubectl.stdin == "kind: Pod"


def test_exec_delete_and_success(lab: Lab, kubectl: LabKubectl) -> None:
    lab.kubectl.answer("exec -n ns web -- cat /etc/hostname", "web\n")
    lab.kubectl.answer("delete pod web")
    lab.kubectl.answer("get pod none", stderr="NotFound\n", code=1)
    assert kubectl.exec("ns", "web", "cat", "/etc/hostname") == "web\n"
    kubectl.delete("pod", "web")
    assert kubectl.succeeds("delete", "pod", "web")
    assert not kubectl.succeeds("get", "pod", "none")
    with pytest.raises(ToolFailed) as failed:
        kubectl.text("get", "pod", "none")
    assert "NotFound" in failed.value.details


def test_without_a_cluster_it_says_how_to_get_one(lab: Lab, kubectl: LabKubectl) -> None:
    lab.ctx.workspace.kubeconfig.unlink()
    with pytest.raises(LabError, match="is not up") as caught:
        kubectl.check()
    assert caught.value.hint == "kubelab up"
    assert lab.kubectl.calls == []


def test_what_is_waited_for_is_returned(lab: Lab, kubectl: LabKubectl) -> None:
    lab.kubectl.answer("get pod web -o json", stderr="NotFound\n", code=1)
    states = [{"kind": "Pod", "metadata": {"name": "web"}}, pod("web", "Pending"), pod("web")]
    lab.ctx.fake_clock.on_sleep = lambda: lab.kubectl.answer("get pod web -o json", json.dumps(states.pop(0)))
    found = kubectl.wait_for("pod", "web", until=lambda each: each["status"]["phase"] == "Running")
    assert found == pod("web")
    assert states == []


def test_a_wait_in_vain_tells_what_was_seen_last(lab: Lab, kubectl: LabKubectl) -> None:
    lab.ctx.fake_clock.speed = 100.0
    waiting = [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}]
    answer(lab, "get pods -o json", pod("web", "Pending", containerStatuses=waiting))
    with pytest.raises(WaitTimeout) as late:
        kubectl.wait_for("pods", until=lambda each: False, timeout=30, what="a Running pod")
    assert str(late.value) == (
        "a Running pod did not come within 300 s; last seen: Pod web: Pending ImagePullBackOff"
    )
    with pytest.raises(WaitTimeout, match=r"last seen: .*without 'spec'"):
        kubectl.wait_for("pods", until=lambda each: each["items"][0]["spec"])
    with pytest.raises(WaitTimeout, match="last seen: unscripted: get pods -n other -o json"):
        kubectl.wait_for("pods", "-n", "other", until=lambda each: True)


def test_objects_in_a_few_words() -> None:
    node = {
        "kind": "Node",
        "metadata": {"name": "lab-w1"},
        "status": {"conditions": [{"type": "Ready", "status": "False", "reason": "KubeletNotReady"}]},
    }
    assert describe(node) == "Node lab-w1: Ready=False KubeletNotReady"
    assert describe({"items": []}) == "no objects"
    assert describe({"items": [pod(str(number)) for number in range(12)]}).endswith(", and 2 more")
    config = {"kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "b"}}
    assert '"data": {"a": "b"}' in describe(config)


def test_a_namespace_is_fresh_labelled_and_deleted(lab: Lab, kubectl: LabKubectl) -> None:
    lab.kubectl.answer("apply -f -")
    lab.kubectl.answer("delete namespace *")
    answer(lab, "get serviceaccount/default configmap/kube-root-ca.crt -n *", {})
    with fresh_namespace(kubectl, "test_A pod, in Ünicode[x]") as first:
        assert first.startswith("a-pod-in-nicode-x-")
        assert (
            f"get serviceaccount/default configmap/kube-root-ca.crt -n {first} -o json" in lab.kubectl.calls
        )
    assert lab.kubectl.calls[-1] == f"delete namespace {first} --wait=false --ignore-not-found"
    with fresh_namespace(kubectl, "x" * 300) as second:
        assert len(second) < 63
    with fresh_namespace(kubectl, "x" * 300) as third:
        assert third != second


def test_a_namespace_without_what_pods_need_is_removed_again(lab: Lab, kubectl: LabKubectl) -> None:
    lab.ctx.fake_clock.speed = 100.0
    lab.kubectl.answer("apply -f -")
    with pytest.raises(WaitTimeout, match="service account"), fresh_namespace(kubectl, "test"):
        raise AssertionError("it was given all the same")
    # Removing it fails too here, and does not hide why.
    assert lab.kubectl.calls[-1].startswith("delete namespace test-")


def test_a_namespace_is_labelled_as_ours(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.kubectl.answer("get serviceaccount/default *", json.dumps({"items": [{}]}))
    lab.kubectl.answer("delete namespace *")
    documents: list[Any] = []
    kubectl = LabKubectl(lab.ctx)
    monkeypatch.setattr(kubectl, "apply", documents.append)
    with fresh_namespace(kubectl, "test_it") as name:
        assert documents[0]["metadata"] == {
            "name": name,
            "labels": {"app.kubernetes.io/managed-by": "kubelab-verify"},
        }


def deployer(lab: Lab, kubectl: LabKubectl) -> Deployer:
    lab.kubectl.answer("apply -f -")
    return Deployer(kubectl, lambda: "docker.io/library/busybox:1.35.0", lambda: "own")


def applied(lab: Lab) -> dict[str, Any]:
    (item,) = json.loads(lab.kubectl.stdin)["items"]
    return dict(item)


def test_a_deployment_of_a_few_arguments(lab: Lab, kubectl: LabKubectl) -> None:
    deployed = deployer(lab, kubectl)("web", replicas=2, port=8080, labels={"tier": "front"}, wait=False)
    item = applied(lab)
    assert (item["metadata"]["namespace"], item["spec"]["replicas"]) == ("own", 2)
    assert item["spec"]["selector"] == {"matchLabels": {"app": "web"}}
    assert item["spec"]["template"]["metadata"]["labels"] == {"app": "web", "tier": "front"}
    (container,) = item["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "docker.io/library/busybox:1.35.0"
    assert container["readinessProbe"]["tcpSocket"] == {"port": 8080}
    assert "httpd -f -p 8080" in container["command"][-1]
    assert (deployed.name, deployed.namespace, deployed.replicas) == ("web", "own", 2)


def test_an_image_of_the_users_own_runs_its_own_command(lab: Lab, kubectl: LabKubectl) -> None:
    deploy = deployer(lab, kubectl)
    deploy("web", image="nginx:1", node="lab-w1", wait=False)
    spec = applied(lab)["spec"]["template"]["spec"]
    assert spec["nodeName"] == "lab-w1"
    assert spec["containers"] == [{"name": "web", "image": "nginx:1", "imagePullPolicy": "IfNotPresent"}]
    deploy("web", command=["sleep", "1"], wait=False)
    assert applied(lab)["spec"]["template"]["spec"]["containers"][0]["command"] == ["sleep", "1"]
    deploy("web", wait=False)
    assert "readinessProbe" not in applied(lab)["spec"]["template"]["spec"]["containers"][0]


def test_only_what_is_in_others_namespaces_is_deleted_one_by_one(lab: Lab, kubectl: LabKubectl) -> None:
    deploy = deployer(lab, kubectl)
    lab.kubectl.answer("delete deployment *")
    deploy("mine", wait=False)
    deploy("theirs", namespace="other", wait=False)
    deploy.remove()
    deletions = [call for call in lab.kubectl.calls if call.startswith("delete")]
    assert deletions == ["delete deployment theirs -n other --wait=false --ignore-not-found"]


@pytest.mark.parametrize(
    "seen",
    [
        deployment(wanted=2, ready=1),
        deployment(wanted=3, ready=2),
        deployment(wanted=2, ready=2, observed=1),
        {"kind": "Deployment", "metadata": {"name": "web", "generation": 2}},
    ],
)
def test_an_unfinished_rollout_is_waited_for(lab: Lab, kubectl: LabKubectl, seen: dict[str, Any]) -> None:
    lab.ctx.fake_clock.speed = 400.0
    deploy = deployer(lab, kubectl)
    pattern = "get deployments,pods -n own -l app=web -o json"
    answer(lab, pattern, seen, pod("web-1", "Pending"))
    with pytest.raises(WaitTimeout, match=r"the Deployment web with 2 Ready pods .*Pod web-1: Pending"):
        deploy("web", replicas=2)
    answer(lab, pattern, deployment(wanted=2, ready=2), pod("web-1"), pod("web-2"))
    deploy("web", replicas=2)


def test_pods_that_go_are_not_counted(lab: Lab, kubectl: LabKubectl) -> None:
    going = pod("old")
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    answer(lab, "get pods -n own -l app=web -o json", pod("new"), going)
    assert deployer(lab, kubectl)("web", wait=False).pods() == [pod("new")]
