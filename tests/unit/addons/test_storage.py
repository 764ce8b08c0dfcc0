from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from provision.addons.storage import Storage
from provision.cluster.kubectl import Kubectl
from tests.fakes.cluster.kubectl import StubKubectl
from tests.unit.addons.test_documents import BUSYBOX, documents


def volume(claim: str, phase: str = "Bound", maker: str = "rancher.io/local-path") -> dict[str, Any]:
    metadata = {"name": f"pvc-{claim}", "annotations": {"pv.kubernetes.io/provisioned-by": maker}}
    spec = {"claimRef": {"namespace": "default", "name": claim}}
    return {"metadata": metadata, "spec": spec, "status": {"phase": phase}}


def test_claims_with_a_volume_of_it_use_it(tmp_path: Path) -> None:
    stub = StubKubectl(tmp_path)
    volumes = [
        volume("data"),
        volume("all"),
        volume("left", phase="Released"),
        volume("other", maker="example.com/disk"),
        {"metadata": {"name": "by-hand"}, "spec": {}, "status": {"phase": "Available"}},
    ]
    stub.answer("get persistentvolumes*", json.dumps({"items": volumes}))
    found = Storage().users(Kubectl(stub.program, tmp_path / "kubeconfig"))
    assert found == ["default/all", "default/data"]


def test_claims_that_name_no_class_get_its_volumes_where_their_pod_runs() -> None:
    (found,) = [item for item in documents("storage") if item["kind"] == "StorageClass"]
    assert found["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"] == "true"
    assert found["volumeBindingMode"] == "WaitForFirstConsumer"


def test_its_helper_runs_an_image_that_is_there_and_has_longer_where_it_is_emulated() -> None:
    for factor in (1.0, 10.0):
        (found,) = [item for item in documents("storage", factor=factor) if item["kind"] == "ConfigMap"]
        config = json.loads(found["data"]["config.json"])
        assert config["cmdTimeoutSeconds"] == 120 * factor
        assert config["nodePathMap"][0]["paths"] == ["/var/lib/kubelab/volumes"]
        helper = yaml.safe_load(found["data"]["helperPod.yaml"])
        assert helper["spec"]["containers"][0]["image"] == BUSYBOX
