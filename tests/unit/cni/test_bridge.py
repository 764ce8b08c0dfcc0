from __future__ import annotations

import ipaddress
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from provision.cluster.kubectl import Kubectl
from provision.cni.bridge import CONFLIST, NETWORK_SCRIPT, Bridge
from provision.cni.none import NoCni
from provision.config.inventory import Inventory, Node, inventory_of
from provision.config.schema import ClusterConfig
from provision.providers.vagrantfile import network_xml
from tests.fakes.cluster.kubectl import StubKubectl
from tests.fakes.cni import make_site
from tests.fakes.config import make_config

PODS = "10.32.0.0/16"


def lab(**keys: Any) -> tuple[ClusterConfig, Inventory]:
    config = make_config(network={"pods": PODS}, **keys)
    return config, inventory_of(config)


def conflist(node: Node) -> dict[str, Any]:
    text = Bridge().node_files(*lab(), node)[CONFLIST]
    document: dict[str, Any] = json.loads(text)
    return document


def test_pods_send_no_larger_packets_than_the_nodes() -> None:
    config = make_config(network={"mtu": 1400})
    inventory = inventory_of(config)
    text = Bridge().node_files(config, inventory, inventory.first)[CONFLIST]
    assert json.loads(text)["plugins"][0]["mtu"] == 1400
    assert '<mtu size="1400"/>' in network_xml(config, inventory)


def script(node: Node) -> str:
    return Bridge().node_files(*lab(), node)[NETWORK_SCRIPT]


def rules(node: Node) -> str:
    found = re.search(r"nft -f - <<'(\w+)'\n(.*)^\1$", script(node), re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[2]


NODES = lab()[1].nodes


def subnet(node: Node) -> str:
    bridge = next(plugin for plugin in conflist(node)["plugins"] if plugin["type"] == "bridge")
    ((found,),) = bridge["ipam"]["ranges"]
    return str(found["subnet"])


def test_every_node_gives_its_pods_addresses_of_its_own() -> None:
    ranges = [ipaddress.ip_network(subnet(node)) for node in NODES]
    assert [str(found) for found in ranges] == [node.pod_cidr for node in NODES]
    assert all(not a.overlaps(b) for a in ranges for b in ranges if a is not b)
    assert all(found.subnet_of(ipaddress.ip_network(PODS)) for found in ranges)  # type: ignore[arg-type]


def test_the_plugins_are_those_of_the_bundle_and_do_not_masquerade_themselves() -> None:
    document = conflist(NODES[0])
    assert document["cniVersion"] == "1.0.0"
    bridge, portmap = document["plugins"]
    assert (bridge["type"], bridge["ipam"]["type"], portmap["type"]) == ("bridge", "host-local", "portmap")
    # The plugin would masquerade pods towards pods of other nodes too.
    assert bridge["ipMasq"] is False
    assert bridge["isDefaultGateway"] is True
    assert portmap["capabilities"] == {"portMappings": True}


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.name)
def test_every_node_reaches_the_pods_of_all_others_and_its_own_directly(node: Node) -> None:
    routes = re.findall(r"^ip route replace (\S+) via (\S+)$", script(node), re.MULTILINE)
    assert routes == [(other.pod_cidr, other.ip) for other in NODES if other is not node]


def test_a_lab_of_one_node_needs_no_route() -> None:
    config, inventory = lab(workers={"count": 0})
    assert "ip route replace" not in Bridge().node_files(config, inventory, inventory.first)[NETWORK_SCRIPT]


def test_pods_meet_each_other_by_their_own_address_and_leave_the_lab_masqueraded() -> None:
    for node in NODES:
        (rule,) = [line for line in rules(node).splitlines() if "masquerade" in line]
        assert f"ip saddr {node.pod_cidr} " in rule
        assert f"ip daddr != {PODS} " in rule


def test_the_script_is_sound_and_fails_where_a_command_fails(tmp_path: Path) -> None:
    for name, code in (("ip", 1), ("nft", 0)):
        (tmp_path / name).write_text(f"#!/bin/sh\nexit {code}\n")
        (tmp_path / name).chmod(0o755)
    argv = ["/bin/sh", "-eu", "-c", script(NODES[0])]
    assert subprocess.run(argv, env={"PATH": str(tmp_path)}, check=False).returncode == 1


ROUTES = """\
10.32.11.0/24 dev cni0 proto kernel scope link src 10.32.11.1
10.32.21.0/24 via 192.168.60.21 dev eth0
10.32.22.0/24 via 192.168.60.99 dev eth0
10.32.23.0/24 via 192.168.60.23 dev eth0
"""


def test_routes_to_nodes_that_are_gone_are_removed_and_no_others(tmp_path: Path) -> None:
    (tmp_path / "routes").write_text(ROUTES)
    (tmp_path / "nft").write_text("#!/bin/sh\n")
    (tmp_path / "ip").write_text(
        f'#!/bin/sh\necho "$*" >> {tmp_path}/calls\ncase "$*" in *show*) /bin/cat {tmp_path}/routes;; esac\n'
    )
    for name in ("ip", "nft"):
        (tmp_path / name).chmod(0o755)
    argv = ["/bin/sh", "-eu", "-c", script(NODES[0])]
    assert subprocess.run(argv, env={"PATH": str(tmp_path)}, check=False).returncode == 0
    calls = (tmp_path / "calls").read_text().splitlines()
    assert f"route show root {PODS}" in calls
    assert [call for call in calls if "delete" in call] == [
        "route delete 10.32.22.0/24 via 192.168.60.99",
        "route delete 10.32.23.0/24 via 192.168.60.23",
    ]


def test_the_script_runs_again_without_harm() -> None:
    text = script(NODES[0])
    assert "ip route add" not in text
    table = rules(NODES[0]).splitlines()
    # Declared, so that it can be removed where it was not there yet; then made anew in the same transaction.
    assert table[:2] == ["table ip kubelab", "delete table ip kubelab"]


@pytest.fixture
def kubectl(tmp_path: Path) -> StubKubectl:
    return StubKubectl(tmp_path)


def client(stub: StubKubectl) -> Kubectl:
    return Kubectl(stub.program, stub.folder / "kubeconfig")


def members(**ranges: str | None) -> str:
    """Return the answer to `get nodes`: name -> pod range, None where there is none yet."""
    items = [
        {"metadata": {"name": name.replace("_", "-")}, "spec": {"podCIDR": cidr} if cidr else {}}
        for name, cidr in ranges.items()
    ]
    return json.dumps({"items": items})


def test_only_nodes_without_their_range_are_patched(kubectl: StubKubectl) -> None:
    site = make_site(network={"pods": PODS})
    kubectl.answer("get nodes *", members(lab_cp1="10.32.11.0/24", lab_w1=None))
    kubectl.answer("patch node lab-w1 *")
    bridge = Bridge()
    assert not bridge.is_installed(client(kubectl), site)
    bridge.install(client(kubectl), site)
    (patch,) = [call for call in kubectl.calls if call.startswith("patch")]
    assert json.loads(patch.split(" -p ")[1]) == {
        "spec": {"podCIDR": "10.32.21.0/24", "podCIDRs": ["10.32.21.0/24"]}
    }


@pytest.mark.parametrize(
    ("ranges", "installed"),
    [
        ({"lab_cp1": "10.32.11.0/24", "lab_w1": "10.32.21.0/24"}, True),
        ({"lab_cp1": "10.32.11.0/24"}, False),
        ({"lab_cp1": "10.32.11.0/24", "lab_w1": "10.32.11.0/24"}, False),
    ],
)
def test_installed_means_that_every_node_has_the_range_it_uses(
    kubectl: StubKubectl, ranges: dict[str, str | None], installed: bool
) -> None:
    kubectl.answer("get nodes *", members(**ranges))
    assert Bridge().is_installed(client(kubectl), make_site(network={"pods": PODS})) is installed


def test_no_cni_asks_and_writes_nothing(kubectl: StubKubectl) -> None:
    config, inventory = lab()
    assert NoCni().node_files(config, inventory, inventory.first) == {}
    assert NoCni().is_installed(client(kubectl), make_site(cni="none"))
    NoCni().install(client(kubectl), make_site(cni="none"))
    assert kubectl.calls == []
