"""The example of a CNI of one's own that the real cluster's tests use."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from provision.cni.custom import Custom
from provision.config.cni import CniConfig
from provision.config.inventory import inventory_of
from provision.config.schema import load_config

E2E = Path(__file__).parents[2] / "e2e"
MANIFEST = E2E / "cni/own-bridge.yaml"
TABLE, DAEMON_SET = yaml.safe_load_all(MANIFEST.read_text())
NODES = inventory_of(load_config(E2E / "lab.yaml")).nodes


def install(root: Path, node_ip: str) -> tuple[list[str], str]:
    """Run the script with a host of its own; return the routes it made and the rules it gave to nft."""
    programs, host = root / "bin", root / "host"
    programs.mkdir(exist_ok=True)
    host.mkdir(exist_ok=True)
    (root / "octets").write_text(TABLE["data"]["octets"])
    (root / "routes").write_text("")
    stubs = {
        "ip": f'echo "$*" >> {shlex.quote(str(root / "routes"))}',
        "chroot": f"cd {shlex.quote(str(root))}; echo $* > chroot; cat > rules",
    }
    for name, body in stubs.items():
        (programs / name).write_text(f"#!/bin/sh\n{body}\n")
        (programs / name).chmod(0o755)
    env = {
        "PATH": f"{programs}:/usr/bin:/bin",
        "NODE_IP": node_ip,
        "HOST": str(host),
        "TABLE": str(root / "octets"),
    }
    script = TABLE["data"]["install.sh"]
    subprocess.run(["/bin/sh", "-c", script], env=env, check=True, timeout=30)
    assert (root / "chroot").read_text() == f"{host} nft -f -\n"
    return (root / "routes").read_text().splitlines(), (root / "rules").read_text()


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.name)
def test_every_node_gets_the_range_that_the_inventory_gives_it(tmp_path: Path, node: object) -> None:
    assert node in NODES
    ip, range_ = node.ip, node.pod_cidr  # type: ignore[attr-defined]
    for _ in range(2):
        routes, rules = install(tmp_path, ip)
    others = {f"route replace {other.pod_cidr} via {other.ip}" for other in NODES if other.ip != ip}
    assert others <= set(routes)
    assert not [route for route in routes if range_ in route]
    assert f"ip saddr {range_} ip daddr != 10.244.0.0/16" in rules
    files = list((tmp_path / "host/etc/cni/net.d").iterdir())
    assert [file.name for file in files] == ["10-own.conflist"]
    bridge, portmap = json.loads(files[0].read_text())["plugins"]
    assert bridge["ipam"]["ranges"] == [[{"subnet": range_}]]
    assert (bridge["type"], portmap["type"]) == ("bridge", "portmap")


def test_it_runs_on_every_node_before_there_is_a_network() -> None:
    spec = DAEMON_SET["spec"]["template"]["spec"]
    assert spec["hostNetwork"] is True
    assert spec["tolerations"] == [{"operator": "Exists"}]


def test_it_needs_nothing_that_a_bundle_built_from_source_lacks() -> None:
    custom = Custom(CniConfig(name="own", manifest=str(MANIFEST)))
    assert not custom.wanted()
    assert custom.required(Path) == ("docker.io/library/busybox:1.37",)
