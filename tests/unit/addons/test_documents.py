"""What add-ons put into a cluster, as far as it holds for all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from provision.addons.base import LABEL, WORKLOADS, Site, digest_of
from provision.addons.choose import addon_of
from provision.cluster.health import is_own
from provision.config.inventory import inventory_of
from provision.extensions import ADDONS
from provision.host.facts import Acceleration
from tests.fakes.config import make_config

BUSYBOX = "docker.io/library/busybox:1.37"
NAMES = list(ADDONS)


def site(name: str, factor: float = 1.0, **keys: Any) -> Site:
    config = make_config(**keys)
    acceleration = Acceleration("kvm" if factor == 1.0 else "tcg", factor)
    return Site(config, inventory_of(config), acceleration, addon_of(name).programs().refs, BUSYBOX)


def documents(name: str, **options: Any) -> list[dict[str, Any]]:
    return addon_of(name).documents(site(name, **options))


def pod_specs(name: str) -> list[dict[str, Any]]:
    return [item["spec"]["template"]["spec"] for item in documents(name) if item["kind"] in WORKLOADS]


@pytest.mark.parametrize("name", NAMES)
def test_every_object_says_whose_it_is(name: str) -> None:
    assert {item["metadata"]["labels"][LABEL] for item in documents(name)} == {name}
    names = [
        (item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"])
        for item in documents(name)
    ]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", NAMES)
def test_the_cluster_counts_as_ready_only_with_it(name: str) -> None:
    workloads = [item for item in documents(name) if item["kind"] in WORKLOADS]
    assert workloads
    assert [item["metadata"]["name"] for item in workloads if is_own(item)] == []


@pytest.mark.parametrize("name", NAMES)
def test_pods_run_the_images_that_were_brought_and_ask_no_registry(name: str) -> None:
    containers = [each for spec in pod_specs(name) for each in spec["containers"]]
    assert {each["image"] for each in containers} == set(addon_of(name).programs().refs.values())
    assert {each["imagePullPolicy"] for each in containers} == {"IfNotPresent"}


@pytest.mark.parametrize("name", NAMES)
def test_pods_find_a_node_where_there_are_only_control_planes(name: str) -> None:
    for spec in pod_specs(name):
        keys = {toleration.get("key") for toleration in spec["tolerations"]}
        assert keys & {"node-role.kubernetes.io/control-plane", None}


@pytest.mark.parametrize("name", NAMES)
def test_namespaced_objects_are_where_something_makes_their_namespace(name: str) -> None:
    found = documents(name)
    spaces = {item["metadata"]["name"] for item in found if item["kind"] == "Namespace"} | {"kube-system"}
    assert {item["metadata"]["namespace"] for item in found if "namespace" in item["metadata"]} <= spaces


@pytest.mark.parametrize("name", NAMES)
def test_bindings_name_roles_and_accounts_that_are_made(name: str) -> None:
    found = {(item["kind"], item["metadata"]["name"]) for item in documents(name)}
    for item in documents(name):
        if item["kind"].endswith("Binding"):
            role = (item["roleRef"]["kind"], item["roleRef"]["name"])
            assert role in found or role[1].startswith(("system:", "extension-apiserver"))
            for subject in item["subjects"]:
                assert (subject["kind"], subject["name"]) in found


@pytest.mark.parametrize("name", NAMES)
def test_the_same_lab_gets_the_same_objects(name: str) -> None:
    assert digest_of(documents(name)) == digest_of(documents(name))


@pytest.mark.parametrize("name", NAMES)
def test_its_programs_are_pinned_with_every_sum(name: str) -> None:
    programs = addon_of(name).programs()
    assert {file.name for file in programs.folder.iterdir()} == {"go.mod", "go.sum"}
    text = (programs.folder / "go.mod").read_text()
    assert f"{programs.module} {programs.version} h1:" in (programs.folder / "go.sum").read_text()
    for program in programs.images:
        assert any(line.split()[-1].rpartition("/")[2] == program for line in tools(text))


def tools(go_mod: str) -> list[str]:
    block = go_mod.partition("tool (")[2].partition(")")[0]
    lines = (
        block.splitlines() if block else [line for line in go_mod.splitlines() if line.startswith("tool ")]
    )
    return [line.strip() for line in lines if line.strip()]


@pytest.mark.parametrize("name", NAMES)
def test_it_is_named_in_the_sample_and_in_its_page(name: str) -> None:
    root = Path(__file__).parents[3]
    assert f"#   {name} " in (root / "templates/lab.yaml").read_text()
    page = (root / "docs/addons.md").read_text()
    assert f"| `{name}` |" in page
    assert f" {addon_of(name).programs().version} |" in page
