"""Add-ons are put into a cluster, kept as they are, and taken out again, by a stub of kubectl."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from provision.addons.base import LABEL, digest_of
from provision.addons.choose import addon_of
from provision.addons.installed import NAME, Record, install, look, remove
from provision.artifacts.source.programs import Programs
from provision.errors import ConfigError, StepFailed
from provision.lab.addons import image_files, rendered, site_of
from provision.steps.addons import AddonImagesStep, AddonsStep
from tests.fakes.artifacts.bundle import make_bundle
from tests.fakes.lab import Lab, make_lab

RECORDS = f"get configmaps --namespace=kube-system --field-selector=metadata.name={NAME} *"
WORKLOADS = f"get deployments,daemonsets --all-namespaces --selector={LABEL} *"


def make(tmp_path: Path, *names: str) -> Lab:
    lab = make_lab(tmp_path, addons=list(names), workers={"count": 1})
    lab.ctx.workspace.kubeconfig.write_text("{}")
    lab.kubectl.answer("apply --server-side *")
    lab.kubectl.answer("wait *")
    lab.kubectl.answer("delete *")
    return lab


def say(lab: Lab, *, recorded: dict[str, str], ready: bool = True, workloads: bool = True) -> None:
    """Let the cluster have these add-ons: name -> digest of what was installed."""
    data, items = {}, []
    for name, digest in recorded.items():
        documents = addon_of(name).documents(site_of(lab.ctx, addon_of(name)))
        for item in documents:
            if item["kind"] in ("Deployment", "DaemonSet"):
                items.append(
                    {**item, "metadata": {**item["metadata"], "generation": 1}, "status": status(ready)}
                )
        places = [
            f"{each['metadata']['namespace']}/{each['kind']}/{each['metadata']['name']}" for each in items
        ]
        objects = [{"apiVersion": "v1", "kind": "Namespace", "name": f"of-{name}"}]
        data[name] = json.dumps({"digest": digest, "workloads": places, "objects": objects})
    metadata = {"namespace": "kube-system", "name": NAME}
    maps = [{"kind": "ConfigMap", "metadata": metadata, "data": data}] if data else []
    lab.kubectl.answer(RECORDS, json.dumps({"items": maps}))
    lab.kubectl.answer(WORKLOADS, json.dumps({"items": items if workloads else []}))


def status(ready: bool) -> dict[str, int]:
    count = int(ready)
    return {
        "observedGeneration": 1,
        "readyReplicas": count,
        "numberReady": count,
        "desiredNumberScheduled": 1,
    }


def digest(lab: Lab, name: str) -> str:
    return digest_of(addon_of(name).documents(site_of(lab.ctx, addon_of(name))))


def written(lab: Lab) -> list[dict[str, Any]]:
    return list(json.loads(lab.kubectl.stdin)["items"])


def test_a_lab_without_addons_asks_one_question(tmp_path: Path) -> None:
    lab = make(tmp_path)
    say(lab, recorded={})
    assert lab.run(AddonImagesStep(), AddonsStep()) == []
    assert len(lab.kubectl.calls) == 1


def test_before_there_is_a_cluster_nobody_is_asked(tmp_path: Path) -> None:
    for names, done in (((), True), (("storage",), False)):
        lab = make(tmp_path / str(done), *names)
        lab.ctx.workspace.kubeconfig.unlink()
        assert AddonsStep().is_done(lab.ctx) is done
        assert lab.kubectl.calls == []


def test_what_is_there_as_it_should_be_is_left_alone(tmp_path: Path) -> None:
    lab = make(tmp_path, "storage")
    say(lab, recorded={"storage": digest(lab, "storage")})
    assert lab.run(AddonsStep()) == []
    assert not any(call.startswith("apply") for call in lab.kubectl.calls)


@pytest.mark.parametrize(
    "lacking",
    [{"recorded": {}}, {"recorded": {"storage": "of before"}}, {"ready": False}, {"workloads": False}],
)
def test_there_is_something_to_do_where_it_is_not(tmp_path: Path, lacking: dict[str, Any]) -> None:
    lab = make(tmp_path, "storage")
    say(lab, **{"recorded": {"storage": digest(lab, "storage")}, **lacking})
    assert not AddonsStep().is_done(lab.ctx)


def test_its_objects_are_written_down_before_they_are_made_and_when_they_are(tmp_path: Path) -> None:
    lab = make(tmp_path, "storage")
    addon = addon_of("storage")
    there = install(lab.ctx.kubectl, addon, site_of(lab.ctx, addon), {})
    assert there["storage"].digest == digest(lab, "storage")
    (record,) = written(lab)
    assert record["metadata"]["name"] == NAME
    kept = json.loads(record["data"]["storage"])
    assert kept["workloads"] == ["kubelab-storage/Deployment/provisioner"]
    # What goes with its namespace is not named.
    kinds = [item["kind"] for item in kept["objects"]]
    assert kinds == ["Namespace", "ClusterRole", "ClusterRoleBinding", "StorageClass"]
    applied = [call for call in lab.kubectl.calls if call.startswith("apply")]
    assert len(applied) == 4


def test_one_that_lab_yaml_has_no_more_is_deleted(tmp_path: Path) -> None:
    lab = make(tmp_path)
    say(lab, recorded={"storage": "x"})
    lab.kubectl.answer("get persistentvolumes*", json.dumps({"items": []}))
    AddonsStep().apply(lab.ctx)
    assert any(call.startswith("delete --ignore-not-found") for call in lab.kubectl.calls)
    (record,) = written(lab)
    assert record["data"] == {}
    assert [event["text"] for event in lab.report.of("info")] == ["removed the add-on storage"]


def test_one_that_is_in_use_is_not_deleted(tmp_path: Path) -> None:
    lab = make(tmp_path)
    say(lab, recorded={"storage": "x"})
    volume = {
        "metadata": {
            "name": "v",
            "annotations": {"pv.kubernetes.io/provisioned-by": "rancher.io/local-path"},
        },
        "spec": {"claimRef": {"namespace": "default", "name": "data"}},
        "status": {"phase": "Bound"},
    }
    lab.kubectl.answer("get persistentvolumes*", json.dumps({"items": [volume]}))
    with pytest.raises((ConfigError, StepFailed)) as caught:
        lab.run(AddonsStep())
    assert caught.value.exit_code == 2
    assert "default/data" in caught.value.message
    assert not any(call.startswith(("delete", "apply")) for call in lab.kubectl.calls)


def test_one_of_a_package_that_is_gone_is_deleted_by_what_was_written_down(tmp_path: Path) -> None:
    lab = make(tmp_path)
    objects = (
        {"apiVersion": "v1", "kind": "Namespace", "name": "a"},
        {"apiVersion": "v1", "kind": "X", "name": "b"},
    )
    left = remove(lab.ctx.kubectl, "gone", None, {"gone": Record("", (), objects), "storage": Record("x")})
    assert list(left) == ["storage"]
    assert lab.kubectl.calls[0].startswith("delete --ignore-not-found")


def test_a_record_that_is_not_understood_is_of_something_to_install_again(tmp_path: Path) -> None:
    lab = make(tmp_path, "storage")
    metadata = {"namespace": "kube-system", "name": NAME}
    odd = {"kind": "ConfigMap", "metadata": metadata, "data": {"storage": "[]"}}
    lab.kubectl.answer(RECORDS, json.dumps({"items": [odd]}))
    assert look(lab.ctx.kubectl) == {"storage": Record("")}


def test_images_are_built_once_and_are_among_those_that_nodes_keep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = make(tmp_path, "storage")
    ref = addon_of("storage").programs().refs["local-path-provisioner"]
    before = set(image_files(lab.ctx))
    monkeypatch.setattr(
        Programs, "build", lambda self, report, cancel: make_bundle(beside / self.key, {"provisioner": ref})
    )
    beside = lab.ctx.bundle.root / "addons"
    assert lab.run(AddonImagesStep()) == ["addon-images"]
    assert lab.run(AddonImagesStep()) == []
    assert set(image_files(lab.ctx)) - before == {ref}
    assert image_files(lab.ctx)[ref].read_text() == "provisioner"


def test_its_objects_can_be_read_before_there_is_anything(tmp_path: Path) -> None:
    lab = make(tmp_path, "storage")
    assert "kind: StorageClass" in rendered(lab.ctx)
    assert lab.kubectl.calls == []
