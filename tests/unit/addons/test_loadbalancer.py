from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest

from provision.addons.loadbalancer import SERVED, LoadBalancer
from provision.cluster.kubectl import Kubectl
from provision.config.addresses import balanced_ranges
from provision.config.inventory import inventory_of
from provision.errors import ConfigError
from tests.fakes.cluster.kubectl import StubKubectl
from tests.fakes.config import make_config
from tests.unit.addons.test_documents import documents


def ranges(network: str, *own: str) -> list[str]:
    return balanced_ranges(IPv4Network(network), [IPv4Address(address) for address in own])


def of_kind(kind: str, **keys: Any) -> list[dict[str, Any]]:
    return [item for item in documents("loadbalancer", **keys) if item["kind"] == kind]


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ("192.168.60.0/24", ["192.168.60.192-192.168.60.254"]),
        ("192.168.60.128/25", ["192.168.60.224-192.168.60.254"]),
        ("10.1.0.0/16", ["10.1.192.0-10.1.255.254"]),
        ("192.168.60.0/26", []),
    ],
)
def test_addresses_are_the_last_quarter_without_the_broadcast(network: str, expected: list[str]) -> None:
    assert ranges(network) == expected


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (["192.168.60.50"], ["192.168.60.192-192.168.60.254"]),
        (["192.168.60.200"], ["192.168.60.192-192.168.60.199", "192.168.60.201-192.168.60.254"]),
        (["192.168.60.193", "192.168.60.192"], ["192.168.60.194-192.168.60.254"]),
        (["192.168.60.254"], ["192.168.60.192-192.168.60.253"]),
    ],
)
def test_an_address_that_a_node_has_of_its_own_is_left_out(own: list[str], expected: list[str]) -> None:
    assert ranges("192.168.60.0/24", *own) == expected


def test_no_node_of_the_largest_lab_has_one_of_them() -> None:
    config = make_config(workers={"count": 50}, nodes={"lab-w3": {"address": "192.168.60.230"}})
    taken = {int(IPv4Address(node.ip)) for node in inventory_of(config).nodes}
    for text in balanced_ranges(config.network.nodes, [IPv4Address("192.168.60.230")]):
        first, last = (int(IPv4Address(part)) for part in text.split("-"))
        assert not taken & set(range(first, last + 1))


def test_the_pool_has_the_addresses_of_this_lab() -> None:
    (pool,) = of_kind("IPAddressPool", network={"nodes": "192.168.70.0/24"})
    assert pool["spec"]["addresses"] == ["192.168.70.192-192.168.70.254"]
    (advertisement,) = of_kind("L2Advertisement")
    assert advertisement["spec"]["ipAddressPools"] == [pool["metadata"]["name"]]


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"network": {"nodes": "192.168.60.0/26"}}, "/25 or wider"),
        ({"kubeProxy": {"mode": "ipvs"}}, "strictARP"),
    ],
)
def test_a_lab_that_cannot_have_it_is_refused_by_the_key(keys: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        LoadBalancer().check(make_config(**keys))
    assert (caught.value.key, caught.value.exit_code) == ("addons", 2)


def test_other_labs_can_have_it() -> None:
    LoadBalancer().check(make_config())
    LoadBalancer().check(make_config(kubeProxy={"mode": "ipvs", "ipvs": {"strictARP": True}}))


def test_control_planes_answer_only_where_there_is_nothing_else() -> None:
    for count, asked in ((1, False), (0, True)):
        (speaker,) = of_kind("DaemonSet", workers={"count": count})
        (container,) = speaker["spec"]["template"]["spec"]["containers"]
        assert ("--ignore-exclude-lb" in container["args"]) is asked


def test_what_is_asked_for_is_defined() -> None:
    defined = {item["spec"]["names"]["plural"] for item in of_kind("CustomResourceDefinition")}
    roles = [*of_kind("Role"), *of_kind("ClusterRole")]
    rules = [rule for item in roles for rule in item["rules"] if rule["apiGroups"] == ["metallb.io"]]
    assert {name.partition("/")[0] for rule in rules for name in rule["resources"]} == defined


def test_services_lose_the_addresses_that_nothing_answers_for(tmp_path: Path) -> None:
    stub = StubKubectl(tmp_path)
    served = {"metadata": {"name": "web", "namespace": "default", "annotations": {SERVED: "nodes"}}}
    other = {"metadata": {"name": "kubernetes", "namespace": "default"}}
    stub.answer("get services --all-namespaces *", json.dumps({"items": [served, other]}))
    stub.answer("patch *")
    LoadBalancer().leave(Kubectl(stub.program, tmp_path / "kubeconfig"))
    patches = [call for call in stub.calls if call.startswith("patch")]
    assert [call.startswith("patch service web --namespace=default") for call in patches] == [True, True]
    assert "--subresource=status" in patches[0]
