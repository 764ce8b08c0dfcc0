from __future__ import annotations

import pytest
import yaml

from provision.config.inventory import inventory_of
from provision.config.ports import MOST
from provision.config.schema import ClusterConfig, parse_config
from provision.errors import ConfigError
from tests.fakes.config import make_config

NODE = {"host": 8080, "node": "lab-w1", "port": 30080}
SERVICE = {"host": 8443, "service": "default/web", "port": 443}


def parsed(*ports: object) -> ClusterConfig:
    return parse_config(yaml.safe_dump({"name": "lab", "ports": list(ports)}))


def test_a_port_leads_to_a_node_or_a_service_and_is_open_to_this_host_alone() -> None:
    config = parsed(NODE, {**SERVICE, "address": "0.0.0.0"})
    assert [port.text for port in config.ports] == [
        "127.0.0.1:8080 -> lab-w1:30080",
        "0.0.0.0:8443 -> default/web:443",
    ]
    assert parse_config("name: lab").ports == ()


def test_one_port_may_be_there_at_two_addresses() -> None:
    assert len(parsed(NODE, {**NODE, "address": "192.168.1.5"}).ports) == 2


@pytest.mark.parametrize(
    ("ports", "key", "word"),
    [
        ([{**NODE, "host": 0}], "ports.0.host", "1 to 65535"),
        ([{**NODE, "host": True}], "ports.0.host", "1 to 65535"),
        ([{**NODE, "port": 65536}], "ports.0.port", "1 to 65535"),
        ([{"host": 1, "node": "lab-w1"}], "ports.0.port", "is missing"),
        ([{"host": 1, "port": 2}], "ports.0.node", "is missing, and so is service"),
        ([NODE | SERVICE], "ports.0.node", "stands beside service"),
        ([{**NODE, "node": "lab-w9"}], "ports.0.node", "allowed: lab-cp1, lab-w1, lab-w2"),
        ([{**NODE, "node": ["lab-w1"]}], "ports.0.node", "the name of a node"),
        ([{**SERVICE, "service": "web"}], "ports.0.service", "NAMESPACE/NAME"),
        ([{**SERVICE, "service": "default/--all"}], "ports.0.service", "NAMESPACE/NAME"),
        ([{**SERVICE, "service": "default/web\n"}], "ports.0.service", "NAMESPACE/NAME"),
        ([{**NODE, "address": "localhost"}], "ports.0.address", "127.0.0.1"),
        ([{**NODE, "address": "::1"}], "ports.0.address", "127.0.0.1"),
        ([{**NODE, "address": 2130706433}], "ports.0.address", "127.0.0.1"),
        ([{**NODE, "protocol": "UDP"}], "ports.0.protocol", "unknown key"),
        (["8080:80"], "ports.0", "a mapping of host, port"),
        ([SERVICE, NODE, NODE], "ports.2.host", "taken above"),
        ([NODE, {**NODE, "address": "0.0.0.0"}], "ports.1.host", "taken above"),
    ],
)
def test_what_is_wrong_is_told_by_its_key(ports: list[object], key: str, word: str) -> None:
    with pytest.raises(ConfigError, match=word) as caught:
        parsed(*ports)
    assert caught.value.key == key


@pytest.mark.parametrize("text", ["8080", "{host: 8080, node: lab-w1, port: 1}", ""])
def test_it_is_a_list(text: str) -> None:
    with pytest.raises(ConfigError, match=r"a list of \{host"):
        parse_config(f"name: lab\nports: {text}")


def test_there_are_not_more_than_a_process_may_serve() -> None:
    with pytest.raises(ConfigError, match="65 are too many; allowed: up to 64"):
        parsed(*({**NODE, "host": 2000 + number} for number in range(MOST + 1)))


def test_a_port_leads_to_a_node_by_either_of_its_names() -> None:
    nodes = {"lab-w1": {"name": "w1-k8s"}}
    for name in ("w1-k8s", "lab-w1"):
        config = make_config(nodes=nodes, ports=[{"host": 8080, "node": name, "port": 30080}])
        assert inventory_of(config).node(config.ports[0].node).machine == "lab-w1"
