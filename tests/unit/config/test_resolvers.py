from __future__ import annotations

import json

import pytest

from provision.config.schema import ClusterConfig, parse_config
from provision.errors import ConfigError


def parsed(value: object) -> ClusterConfig:
    return parse_config(json.dumps({"name": "lab", "dns": value}))


def test_resolvers_keep_their_order_and_none_is_no_resolver() -> None:
    assert list(map(str, parsed(["192.168.60.1", "10.1.2.3", "9.9.9.9"]).dns)) == [
        "192.168.60.1",
        "10.1.2.3",
        "9.9.9.9",
    ]
    assert parsed("none").dns == parse_config("name: lab").dns == ()


@pytest.mark.parametrize("value", ["10.1.2.3", [], {"a": 1}, None, 7, ["10.0.0.1"] * 4])
def test_what_is_no_short_list_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match="up to 3 IPv4 addresses") as caught:
        parsed(value)
    assert (caught.value.key, caught.value.exit_code) == ("dns", 2)


@pytest.mark.parametrize(
    "item",
    [
        "dns.test",
        "::1",
        "10.1.2",
        "10.1.2.3/32",
        "10.1.2.3:53",
        "10.1.2.3\noptions debug",
        168496141,
        None,
        "127.0.0.53",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "192.168.60.1",
    ],
)
def test_what_is_no_address_of_a_machine_is_refused_by_its_place(item: object) -> None:
    # The last one is there twice.
    with pytest.raises(ConfigError, match="IPv4 address of a resolver") as caught:
        parsed(["192.168.60.1", item])
    assert (caught.value.key, caught.value.exit_code) == ("dns.1", 2)


@pytest.mark.parametrize(("address", "key"), [("10.96.0.10", "services"), ("10.244.1.2", "pods")])
def test_coredns_is_not_told_to_ask_itself(address: str, key: str) -> None:
    with pytest.raises(ConfigError, match=rf"is in network\.{key}") as caught:
        parsed(["192.168.60.1", address])
    assert caught.value.key == "dns.1"
