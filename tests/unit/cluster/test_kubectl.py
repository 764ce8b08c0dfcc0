from __future__ import annotations

import json
from pathlib import Path

import pytest

from provision.cluster.kubectl import Kubectl
from provision.errors import ToolFailed, UnknownAnswer
from tests.fakes.cluster.kubectl import StubKubectl

SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "one"}}


@pytest.fixture
def stub(tmp_path: Path) -> StubKubectl:
    return StubKubectl(tmp_path)


@pytest.fixture
def kubectl(stub: StubKubectl, tmp_path: Path) -> Kubectl:
    return Kubectl(stub.program, tmp_path / "kubeconfig")


def test_objects_of_our_own_are_written_without_a_download_of_all_kinds(
    kubectl: Kubectl, stub: StubKubectl
) -> None:
    stub.answer("apply *")
    kubectl.write([SECRET])
    (call,) = stub.calls
    assert {"--server-side", "--validate=ignore", "--force-conflicts"} <= set(call.split())
    assert json.loads(stub.stdin)["items"] == [SECRET]


def test_objects_of_a_user_may_be_checked(kubectl: Kubectl, stub: StubKubectl) -> None:
    stub.answer("apply *")
    kubectl.write([SECRET], validate=True)
    assert "--validate=strict" in stub.calls[0].split()


def test_a_failure_says_what_the_server_said(kubectl: Kubectl, stub: StubKubectl) -> None:
    said = "Error from server (Forbidden): no"
    stub.answer("apply *", stderr=f'E1125 22:26:51.8 7 memcache.go:265] "Unhandled"\n{said}\n', code=1)
    with pytest.raises(ToolFailed) as caught:
        kubectl.write([SECRET])
    assert caught.value.details == said


@pytest.mark.parametrize("said", ["", "<html>", "[]", "{}", '{"items": 3}', "[" * 100_000])
def test_an_answer_that_is_no_list_of_objects_counts_as_a_failure(
    kubectl: Kubectl, stub: StubKubectl, said: str
) -> None:
    stub.answer("get *", said)
    with pytest.raises(UnknownAnswer, match="`kubectl get nodes` gave an unknown answer") as caught:
        kubectl.items("nodes")
    assert said[:50] in caught.value.details
