from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from provision.config.inventory import Inventory, bridge_name, inventory_of, network_name
from provision.config.schema import parse_config
from provision.errors import ConfigError


def inventory(name: str = "lab", **keys: Any) -> Inventory:
    return inventory_of(parse_config(yaml.safe_dump({"name": name, **keys})))


def test_a_node_has_what_its_pool_and_its_place_say() -> None:
    lab = inventory(controlPlanes={"cpus": 4, "memory": "4GiB", "disk": 20}, workers={"count": 1})
    first, worker = lab.nodes
    assert (first.name, first.role, first.index) == ("lab-cp1", "control-plane", 1)
    assert (first.ip, first.pod_cidr) == ("192.168.60.11", "10.244.11.0/24")
    assert (first.cpus, first.memory, first.disk) == (4, 4096, 20)
    assert (worker.name, worker.role, worker.index) == ("lab-w1", "worker", 1)
    assert (worker.ip, worker.pod_cidr) == ("192.168.60.21", "10.244.21.0/24")
    assert (worker.cpus, worker.memory, worker.disk) == (2, 2048, 12)


def test_a_node_may_have_further_disks() -> None:
    lab = inventory(
        controlPlanes={"disks": ["2G"]},
        workers={"count": 3, "disks": ["10GiB", 5]},
        nodes={"lab-w2": {"disks": [1]}, "lab-w3": {"disks": []}},
    )
    assert [node.disks for node in lab.nodes] == [(2,), (10, 5), (1,), ()]
    assert [node.disks for node in inventory().nodes] == [(), (), ()]


def test_roles_and_gateway() -> None:
    lab = inventory(controlPlanes={"count": 3})
    assert [node.name for node in lab.control_planes] == ["lab-cp1", "lab-cp2", "lab-cp3"]
    assert [node.name for node in lab.workers] == ["lab-w1", "lab-w2"]
    assert lab.first == lab.control_planes[0]
    assert lab.gateway == "192.168.60.1"
    assert inventory(workers={"count": 0}).workers == ()


def test_a_node_may_have_an_address_of_its_own() -> None:
    lab = inventory(nodes={"lab-w1": {"address": "192.168.60.22"}, "lab-w2": {"address": "192.168.60.101"}})
    assert [node.ip for node in lab.nodes] == ["192.168.60.11", "192.168.60.22", "192.168.60.101"]
    # Its place among the pods' ranges stays.
    assert [node.pod_cidr for node in lab.workers] == ["10.244.21.0/24", "10.244.22.0/24"]


def test_a_node_may_have_a_name_of_its_own_and_its_machine_keeps_its_name() -> None:
    own = inventory(nodes={"lab-cp1": {"name": "m-k8s"}, "lab-w1": {"name": "w1-k8s"}})
    assert [node.name for node in own.nodes] == ["m-k8s", "w1-k8s", "lab-w2"]
    assert [node.machine for node in own.nodes] == ["lab-cp1", "lab-w1", "lab-w2"]
    # All that its machine has is as without one.
    plain = inventory().nodes
    assert [(node.ip, node.mac, node.pod_cidr) for node in own.nodes] == [
        (node.ip, node.mac, node.pod_cidr) for node in plain
    ]
    assert inventory(nodes={"lab-w1": {"name": "lab-w1"}}).nodes == plain


def test_a_node_is_found_by_either_name() -> None:
    own = inventory(nodes={"lab-w1": {"name": "w1-k8s"}})
    assert own.node("w1-k8s") is own.node("lab-w1") is own.workers[0]
    assert (own.name_of("lab-w1"), own.name_of("lab-w2"), own.name_of("lab-w9")) == (
        "w1-k8s",
        "lab-w2",
        "lab-w9",
    )
    with pytest.raises(ConfigError, match="did you mean `w1-k8s`") as caught:
        own.node("w1-k8")
    assert caught.value.hint == "the nodes are lab-cp1, w1-k8s, lab-w2"


def test_a_pod_range_may_carry_into_the_next_byte() -> None:
    lab = inventory(network={"pods": "10.8.240.0/20", "services": "10.96.0.0/24"}, workers={"count": 0})
    assert lab.first.pod_cidr == "10.8.251.0/24"


def test_the_largest_lab_does_not_mix_its_roles() -> None:
    lab = inventory(controlPlanes={"count": 7}, workers={"count": 50})
    assert lab.control_planes[-1].ip == "192.168.60.17"
    assert lab.workers[0].ip == "192.168.60.21"
    assert lab.workers[-1].ip == "192.168.60.70"


def test_nodes_that_come_and_go_leave_the_others_as_they_were() -> None:
    small, large = inventory(workers={"count": 1}), inventory(workers={"count": 9})
    assert large.nodes[: len(small.nodes)] == small.nodes


def test_macs_are_local_to_the_lab_and_of_the_form_libvirt_prints() -> None:
    here = {node.mac for node in inventory("one").nodes}
    there = {node.mac for node in inventory("two").nodes}
    assert not here & there
    assert all(re.fullmatch(r"52:54:00(:[0-9a-f]{2}){3}", mac) for mac in here | there)


def test_macs_whose_digests_meet_are_told_apart() -> None:
    # The digests of lab8628/lab8628-w13 and -w14 begin with the same three bytes.
    small, large = inventory("lab8628", workers={"count": 13}), inventory("lab8628", workers={"count": 14})
    assert len({node.mac for node in large.nodes}) == 15
    assert large.node("lab8628-w13").mac == small.node("lab8628-w13").mac


def test_a_node_is_found_by_name() -> None:
    assert inventory().node("lab-w2").index == 2


def test_an_unknown_node_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean `lab-cp1`") as caught:
        inventory().node("labcp1")
    assert "lab-cp1, lab-w1, lab-w2" in caught.value.hint
    with pytest.raises(ConfigError) as caught:
        inventory().node("zzz")
    assert "did you mean" not in str(caught.value)


@given(st.from_regex(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?", fullmatch=True))
def test_names_on_the_host(lab: str) -> None:
    assert re.fullmatch(r"kl[0-9a-f]{8}", bridge_name(lab))
    assert network_name(lab) == f"kubelab-{lab}"
