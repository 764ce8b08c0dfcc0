from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from provision.doctor.network import mtu_probe, overlap_probe, probe_firewall
from provision.host.facts import HostNetwork
from tests.fakes.doctor import FakeTools, host


def test_an_overlapping_host_network_is_named_but_the_labs_own_is_not() -> None:
    lab = [IPv4Network("192.168.60.0/24")]
    networks = (HostNetwork("eth0", IPv4Network("192.168.0.0/16")), HostNetwork("kl-lab", lab[0]))
    machine = host(FakeTools(), networks=networks)
    answer = overlap_probe(lab, own=["kl-lab"])(machine)
    assert answer.level == "fail"
    assert "eth0" in answer.message
    assert "kl-lab" not in answer.message
    assert overlap_probe([IPv4Network("10.9.0.0/24")])(machine).level == "ok"


DROPS = "-P FORWARD DROP\n-A FORWARD -j DOCKER-USER\n"


@pytest.fixture
def filtered(tmp_path: Path) -> Path:
    """Return a host whose bridges are shown to iptables."""
    path = tmp_path / "proc/sys/net/bridge/bridge-nf-call-iptables"
    path.parent.mkdir(parents=True)
    path.write_text("1\n")
    return tmp_path


@pytest.mark.parametrize(
    ("rules", "libvirt", "level"),
    [
        (DROPS, "10.10.0", "warn"),
        (DROPS, "9.0.0", "ok"),
        ("-P FORWARD ACCEPT\n", "10.10.0", "ok"),
        (f"{DROPS}-A FORWARD -i kl+ -o kl+ -j ACCEPT\n", "10.10.0", "ok"),
    ],
)
def test_a_firewall_that_drops_what_nodes_send_each_other_is_told(
    filtered: Path, rules: str, libvirt: str, level: str
) -> None:
    tools = FakeTools({"iptables -S FORWARD": rules, "virsh --version": f"{libvirt}\n"})
    answer = probe_firewall(host(tools, filtered, is_root=False))
    assert (answer.level, answer.fixes) == (level, ())
    if level == "warn":
        assert answer.by_hand == ("sudo iptables -I FORWARD -i kl+ -o kl+ -j ACCEPT",)


def test_libvirts_iptables_rules_come_before_the_policy(filtered: Path) -> None:
    config = filtered / "etc/libvirt/network.conf"
    config.parent.mkdir(parents=True)
    config.write_text('# firewall_backend = "nftables"\nfirewall_backend = "iptables"\n')
    tools = FakeTools({"iptables -S FORWARD": DROPS, "virsh --version": "10.10.0\n"})
    assert probe_firewall(host(tools, filtered)).level == "ok"


def test_bridges_that_no_firewall_sees_need_no_root(tmp_path: Path) -> None:
    tools = FakeTools()
    assert probe_firewall(host(tools, tmp_path)).level == "ok"
    assert tools.calls == []


@pytest.mark.parametrize(
    ("mtu", "wanted", "level"),
    [(1500, 1500, "ok"), (1400, 1500, "warn"), (1400, 1400, "ok"), (0, 1500, "ok")],
)
def test_a_way_out_that_takes_smaller_packets_is_told(mtu: int, wanted: int, level: str) -> None:
    answer = mtu_probe(wanted)(host(FakeTools(), uplink="tun0", mtu=mtu))
    assert answer.level == level
    if level == "warn":
        assert "tun0" in answer.message
        assert answer.by_hand == ("in lab.yaml: network: {mtu: 1400}",)
