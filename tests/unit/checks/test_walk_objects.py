"""The objects of the walk-through."""

from __future__ import annotations

from typing import Any

import pytest

from provision.checks.walk_objects import HOST_FOLDERS, Site, standing

NODES = ["lab-cp1", "lab-w1", "lab-w2"]


def site(nodes: list[str] = NODES, homes: list[str] | None = None) -> Site:
    return Site("kubelab-verify-abc", "busybox:1", nodes, nodes[1:] if homes is None else homes, linger=7)


def find(objects: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    (found,) = [each for each in objects if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


def pod_specs(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the specs of all pods, those in templates too."""
    found = []
    for each in objects:
        spec = each.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        spec = spec.get("template", {}).get("spec", spec)
        found += [spec] if "containers" in spec else []
    return found


def test_everything_is_in_the_one_namespace_and_has_a_name_of_its_own() -> None:
    objects = standing(site())
    assert {each["metadata"]["namespace"] for each in objects} == {"kubelab-verify-abc"}
    names = [(each["kind"], each["metadata"]["name"]) for each in objects]
    assert len(names) == len(set(names))


def test_every_node_has_a_server_bound_to_it() -> None:
    pods = [each for each in standing(site()) if each["kind"] == "Pod"]
    servers = {pod["metadata"]["name"]: pod["spec"]["nodeName"] for pod in pods if "app" in labels(pod)}
    assert servers == {f"on-{node}": node for node in NODES}


def labels(pod: dict[str, Any]) -> dict[str, str]:
    return dict(pod["metadata"].get("labels", {}))


def test_every_pod_uses_the_image_that_is_there_and_no_token() -> None:
    specs = pod_specs(standing(site()))
    containers = [container for spec in specs for container in spec["containers"]]
    assert {(each["image"], each["imagePullPolicy"]) for each in containers} == {
        ("busybox:1", "IfNotPresent")
    }
    assert {spec["automountServiceAccountToken"] for spec in specs} == {False}


@pytest.mark.parametrize(("homes", "tolerates"), [(None, False), (NODES, True)])
def test_pods_run_on_a_control_plane_only_where_there_are_no_workers(
    homes: list[str] | None, tolerates: bool
) -> None:
    web = find(standing(site(homes=homes)), "Deployment", "web")
    assert ("tolerations" in web["spec"]["template"]["spec"]) is tolerates


def test_a_web_server_has_time_to_serve_on_before_it_ends() -> None:
    spec = find(standing(site()), "Deployment", "web")["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert container["lifecycle"]["preStop"]["sleep"]["seconds"] == 7
    assert spec["terminationGracePeriodSeconds"] > 7
    assert container["readinessProbe"]


def test_services_choose_pods_by_labels_that_they_have() -> None:
    objects = standing(site())
    pods = [labels(each) for each in objects if each["kind"] == "Pod"]
    pods += [find(objects, "Deployment", "web")["spec"]["template"]["metadata"]["labels"]]
    for each in objects:
        if each["kind"] == "Service":
            selector = each["spec"]["selector"].items()
            assert any(selector <= pod.items() for pod in pods), each["metadata"]["name"]


def test_the_folder_on_the_node_is_of_this_run_alone() -> None:
    volumes = find(standing(site()), "Pod", "volumes")["spec"]["volumes"]
    (path,) = [each["hostPath"]["path"] for each in volumes if "hostPath" in each]
    assert path == site().host_folder == f"{HOST_FOLDERS}/kubelab-verify-abc"


def test_a_missing_config_map_does_not_keep_the_other_volumes_away() -> None:
    volumes = find(standing(site()), "Pod", "volumes")["spec"]["volumes"]
    optional = [
        each[kind]["optional"] for each in volumes for kind in ("configMap", "secret") if kind in each
    ]
    assert optional == [True, True]
