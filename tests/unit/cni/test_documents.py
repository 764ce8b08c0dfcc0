from __future__ import annotations

import pytest

from provision.cni import documents
from provision.cni.calico import Calico
from provision.cni.documents import parse
from provision.cni.flannel import Flannel
from provision.config.cni import CniConfig
from provision.errors import LabError
from tests.fakes import cni


def test_a_list_is_read_as_its_objects_and_empty_documents_are_none() -> None:
    text = "---\n---\nkind: List\nitems: [{kind: A}, {kind: B}]\n---\nkind: C\n"
    assert [document["kind"] for document in parse(text)] == ["A", "B", "C"]


@pytest.mark.parametrize(
    "text", ["a: [", "- a\n", "text", "metadata: {}\n", "kind: [a]\n", "kind: !!int ''\n", "[" * 600]
)
def test_what_holds_no_objects_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"line|no Kubernetes object|too deeply"):
        parse(text)


@pytest.mark.parametrize(
    ("given", "full"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("busybox:1.37", "docker.io/library/busybox:1.37"),
        ("calico/node:v3", "docker.io/calico/node:v3"),
        ("quay.io/calico/node:v3", "quay.io/calico/node:v3"),
        ("localhost/own:1", "localhost/own:1"),
        ("host:5000/own", "host:5000/own:latest"),
        ("quay.io/a@sha256:00", "quay.io/a@sha256:00"),
    ],
)
def test_an_image_is_known_by_its_full_name(given: str, full: str) -> None:
    assert documents.full_reference(given) == full


def test_the_images_of_all_pods_are_found() -> None:
    text = """
{kind: Pod, spec: {containers: [{image: "q.io/pod:1"}]}}
---
{kind: CronJob, spec: {jobTemplate: {spec: {template: {spec: {containers: [{image: "q.io/cron:1"}]}}}}}}
---
{kind: ConfigMap, data: {image: "q.io/no:1"}}
"""
    found = documents.images_of([*parse(text), *parse(cni.CALICO)])
    assert found == {"q.io/pod:1", "q.io/cron:1", *cni.CALICO_IMAGES}


def test_a_manifest_of_other_objects_is_refused() -> None:
    with pytest.raises(LabError, match="has no DaemonSet calico-node"):
        Calico(CniConfig(name="calico")).documents(
            cni.make_site(), [found for found in parse(cni.CALICO) if found["kind"] != "DaemonSet"]
        )
    renamed = parse(cni.FLANNEL.replace("name: kube-flannel\n", "name: other\n"))
    with pytest.raises(LabError, match="has no container kube-flannel"):
        Flannel(CniConfig(name="flannel")).documents(cni.make_site(), renamed)


def test_a_variable_is_set_once_whatever_stood_there() -> None:
    target = {"env": [{"name": "A", "valueFrom": {"fieldRef": {}}}, {"name": "B", "value": "b"}]}
    documents.set_env(target, A="a", C={"fieldRef": {"fieldPath": "x"}})
    assert target["env"] == [
        {"name": "A", "value": "a"},
        {"name": "B", "value": "b"},
        {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "x"}}},
    ]


def test_probes_are_left_alone_on_fast_machines() -> None:
    objects = parse(cni.CALICO)
    documents.slow_probes(objects, 1.0)
    assert objects == parse(cni.CALICO)


def test_programs_of_probes_are_started_seldom_and_not_at_once() -> None:
    objects = parse(cni.CALICO)
    documents.slow_probes(objects, 10.0)
    (spec,) = documents.pod_specs([documents.find(objects, "Deployment", "calico-kube-controllers")])
    live, ready = (spec["containers"][0][f"{kind}Probe"] for kind in ("liveness", "readiness"))
    assert (live["periodSeconds"], ready["periodSeconds"]) == (60, 30)
    assert live["initialDelaySeconds"] % live["periodSeconds"] == live["periodSeconds"] // 2
    assert min(live["timeoutSeconds"], ready["timeoutSeconds"]) >= 10
    # What a slow node needs, it is given; what it has already, is never made less.
    long = [{"kind": "Pod", "spec": {"containers": [{"startupProbe": {"timeoutSeconds": 300, "exec": {}}}]}}]
    documents.slow_probes(long, 10.0)
    (spec,) = documents.pod_specs(long)
    assert spec["containers"][0]["startupProbe"]["timeoutSeconds"] == 300


LEVELS = range(1, 17)


@pytest.mark.parametrize("alias", ["[{}]", "{{<<: [{}]}}"])
def test_a_few_lines_of_aliases_never_become_more_than_fits_into_memory(alias: str) -> None:
    lines = [f"a{level}: &a{level} {alias.format(', '.join([f'*a{level - 1}'] * 9))}" for level in LEVELS]
    text = "\n".join(["kind: X", "a0: &a0 {k: v}", *lines])
    with pytest.raises(ValueError, match="more than 1000000 values, each alias counted in full"):
        parse(text)


def test_a_document_that_contains_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="each alias counted in full"):
        parse("kind: X\na: &a [*a]\n")


def test_aliases_that_are_meant_are_no_trouble() -> None:
    (found,) = parse("kind: X\na: &a {k: v}\nb: *a\nc: {<<: *a, l: w}\n")
    assert (found["b"], found["c"]) == ({"k": "v"}, {"k": "v", "l": "w"})
