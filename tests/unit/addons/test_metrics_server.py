from __future__ import annotations

import base64
import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from provision.addons.metrics_server import API, CERTIFICATE, HOST, KEY, MetricsServer, is_good, new_pair
from provision.cluster.kubectl import Kubectl
from tests.fakes.cluster.kubectl import StubKubectl
from tests.unit.addons.test_documents import documents


@pytest.fixture
def stub(tmp_path: Path) -> StubKubectl:
    return StubKubectl(tmp_path)


def prepared(stub: StubKubectl, secrets: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    stub.answer("get secrets --namespace=kube-system *", json.dumps({"items": secrets}))
    kubectl = Kubectl(stub.program, stub.folder / "kubeconfig")
    before = documents("metrics-server")
    found = MetricsServer().prepare(kubectl, before)
    # The objects by which a changed add-on is known have no key in them.
    assert before == documents("metrics-server")
    return {item["kind"]: item for item in found}


def arguments(**options: Any) -> list[str]:
    (found,) = [item for item in documents("metrics-server", **options) if item["kind"] == "Deployment"]
    return list(found["spec"]["template"]["spec"]["containers"][0]["args"])


def test_nothing_is_asked_or_served_unverified(stub: StubKubectl) -> None:
    assert not any("insecure" in argument for argument in arguments())
    found = prepared(stub, [])
    assert "insecureSkipTLSVerify" not in found["APIService"]["spec"]
    assert found["APIService"]["spec"]["caBundle"] == found["Secret"]["data"][CERTIFICATE]


def test_the_certificate_is_for_the_name_that_the_api_server_asks(stub: StubKubectl) -> None:
    data = prepared(stub, [])["Secret"]["data"]
    made = x509.load_pem_x509_certificate(base64.b64decode(data[CERTIFICATE]))
    key = load_pem_private_key(base64.b64decode(data[KEY]), None)
    assert key.public_key() == made.public_key()
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [HOST]
    assert made.not_valid_before_utc < dt.datetime.now(dt.UTC)
    made.verify_directly_issued_by(made)


def test_a_certificate_that_the_cluster_has_is_kept_while_it_is_good(stub: StubKubectl) -> None:
    pair = new_pair()
    assert prepared(stub, [{"data": pair}])["Secret"]["data"] == pair
    for bad in ({}, {"data": {**pair, KEY: ""}}, {"data": {CERTIFICATE: "AAAA", KEY: "x"}}):
        data = prepared(stub, [bad])["Secret"]["data"]
        assert data[CERTIFICATE] != pair[CERTIFICATE]
        assert is_good(data)


def test_kubelets_are_asked_less_often_where_they_are_emulated() -> None:
    assert "--metric-resolution=15s" in arguments()
    slow = arguments(factor=10.0)
    assert "--metric-resolution=60s" in slow
    assert "--kubelet-request-timeout=40s" in slow


@pytest.mark.parametrize(("status", "lacks"), [("True", []), ("False", [f"the API {API} is not available"])])
def test_it_is_of_use_once_its_api_is_served(stub: StubKubectl, status: str, lacks: list[str]) -> None:
    item = {"status": {"conditions": [{"type": "Available", "status": status}]}}
    stub.answer("get apiservices*", json.dumps({"items": [item]}))
    assert MetricsServer().missing(Kubectl(stub.program, stub.folder / "kubeconfig")) == lacks
