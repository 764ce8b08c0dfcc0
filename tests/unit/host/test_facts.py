from __future__ import annotations

import json
import os
from collections.abc import Callable
from errno import EACCES, EBUSY, EISDIR, ENOENT, ENOTTY
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from provision.errors import LabError, MissingTool, ToolFailed
from provision.host import groups
from provision.host.facts import HostFacts, HostNetwork, acceleration, gather, vm_error

ADDRESSES = [
    {"ifname": "lo", "addr_info": [{"local": "127.0.0.1", "prefixlen": 8}]},
    {"ifname": "eth0", "addr_info": [{"local": "192.0.2.7", "prefixlen": 24}]},
    {},
    {"ifname": "down0", "addr_info": [{}]},
]
ROUTES = [
    {"dst": "default", "gateway": "192.0.2.1", "dev": "eth0"},
    {"dst": "192.0.2.0/24", "dev": "eth0"},
    {"dst": "10.8.0.0/16", "gateway": "10.9.0.1", "dev": "tun0"},
    {"dst": "0.0.0.0/1", "dev": "tun0"},
    {"dst": "128.0.0.0/1", "dev": "tun0"},
    {"dst": "10.9.0.1", "dev": "tun0"},
    {"type": "blackhole", "dst": "10.77.0.0/16"},
]


def ip(addresses: object = ADDRESSES, routes: object = ROUTES) -> Callable[..., str]:
    answers = {"addr": addresses, "route": routes}

    def run(argv: list[str], *, deadline: float) -> str:
        assert argv[:3] == ["ip", "-json", "-4"]
        return json.dumps(answers[argv[3]])

    return run


def facts(tmp_path: Path, flags: str = "fpu sse2", **seams: Any) -> HostFacts:
    """Return the facts of a host made of files in `tmp_path`; without `kvm` it has no such device."""
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\n\nprocessor\t: 1\n")
    (tmp_path / "meminfo").write_text("MemTotal:       16384000 kB\nMemFree: 1 kB\n")
    (tmp_path / "os_release").write_text("# the system\nID=debian\nVERSION_CODENAME='bookworm'\nNAME=\"\"\n")
    places = {name: tmp_path / name for name in ("cpuinfo", "meminfo", "os_release", "kvm", "systemd")}
    return gather(**{**places, "storage": [tmp_path], "run": ip(), **seams})


def test_facts_are_read_from_the_systems_files(tmp_path: Path) -> None:
    (tmp_path / "systemd").mkdir()
    found = facts(tmp_path)
    assert found.memory_mib == 16000
    assert found.cpu_flags == {"fpu", "sse2"}
    assert (found.os_id, found.os_codename) == ("debian", "bookworm")
    assert found.has_systemd
    assert found.cpus >= 1
    assert found.disk_free_mib > 0
    assert found.is_root is (os.geteuid() == 0)
    assert found.arch == os.uname().machine


def test_a_system_without_these_files_still_has_facts(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    found = gather(
        cpuinfo=gone, meminfo=gone, os_release=gone, systemd=gone, kvm=gone, storage=[gone / "a/b"], run=ip()
    )
    assert found.memory_mib > 0
    assert found.cpu_flags == frozenset()
    assert found.os_id
    assert not (found.has_systemd or found.kvm_present or found.kvm_usable)
    assert found.disk_free_mib > 0


def test_the_features_of_an_arm_cpu_are_its_flags(tmp_path: Path) -> None:
    arm = tmp_path / "arm"
    arm.write_text("processor : 0\nFeatures : fp asimd\n")
    assert facts(tmp_path, cpuinfo=arm).cpu_flags == {"fp", "asimd"}


def test_networks_are_addresses_and_routes_but_no_default(tmp_path: Path) -> None:
    assert set(facts(tmp_path).networks) == {
        HostNetwork("lo", IPv4Network("127.0.0.0/8")),
        HostNetwork("eth0", IPv4Network("192.0.2.0/24")),
        HostNetwork("tun0", IPv4Network("10.8.0.0/16")),
        HostNetwork("tun0", IPv4Network("10.9.0.1/32")),
    }


def test_a_network_is_listed_once(tmp_path: Path) -> None:
    networks = facts(tmp_path).networks
    assert len(networks) == len(set(networks))


def test_a_host_without_networks_has_none(tmp_path: Path) -> None:
    assert facts(tmp_path, run=lambda argv, deadline: "").networks == ()


def test_a_host_without_ip_has_no_networks_that_are_known(tmp_path: Path) -> None:
    def run(argv: list[str], *, deadline: float) -> str:
        raise MissingTool("no ip")

    assert facts(tmp_path, run=run).networks == ()


def test_an_ip_that_fails_is_no_host_without_networks(tmp_path: Path) -> None:
    def run(argv: list[str], *, deadline: float) -> str:
        raise ToolFailed(argv, 1, "unknown option -json")

    with pytest.raises(ToolFailed):
        facts(tmp_path, run=run)


@pytest.mark.parametrize(
    "seam",
    [
        lambda argv, deadline: "1: lo: <LOOPBACK>",
        ip(addresses=3),
        ip(addresses=[3]),
        ip(addresses=[{"addr_info": [{"local": "10.0.0.1", "prefixlen": 8}]}]),
        ip(addresses=[{"ifname": "a", "addr_info": [{"local": "10.0.0.1", "prefixlen": 99}]}]),
        ip(routes=[{"dev": "eth0"}]),
        ip(routes=[{"dev": "eth0", "dst": "?"}]),
    ],
)
def test_an_answer_of_ip_that_is_not_understood_is_an_error(tmp_path: Path, seam: Callable[..., str]) -> None:
    with pytest.raises(LabError, match="unknown answer"):
        facts(tmp_path, run=seam)


@pytest.mark.parametrize(
    ("flags", "device", "works", "usable"),
    [
        ("fpu vmx", True, True, True),
        ("fpu svm", True, True, True),
        ("fpu vmx", True, False, False),
        ("fpu sse2", True, True, False),
        ("fpu svmlock", True, True, False),
        ("fpu vmx", False, False, False),
    ],
)
def test_kvm_is_usable_with_the_flag_and_a_device_that_works(
    tmp_path: Path, flags: str, device: bool, works: bool, usable: bool
) -> None:
    if device:
        (tmp_path / "kvm").touch()
    found = facts(tmp_path, flags, probe_kvm=lambda path: 0 if path == tmp_path / "kvm" and works else ENOENT)
    assert found.kvm_present is device
    assert found.kvm_usable is usable
    expected = ("kvm", 1.0) if usable else ("tcg", 10.0)
    speed = acceleration(found)
    assert (speed.name, speed.factor) == expected


def test_a_kvm_that_another_hypervisor_has_is_busy(tmp_path: Path) -> None:
    (tmp_path / "kvm").touch()
    found = facts(tmp_path, "vmx", probe_kvm=lambda path: EBUSY)
    assert (found.kvm_usable, found.kvm_busy) == (False, True)
    assert not facts(tmp_path, "sse2", probe_kvm=lambda path: EBUSY).kvm_busy


@pytest.mark.parametrize(
    ("release", "like", "codename"),
    [
        (
            "ID=linuxmint\nID_LIKE='ubuntu debian'\nVERSION_CODENAME=wilma\nUBUNTU_CODENAME=noble\n",
            ("ubuntu", "debian"),
            "noble",
        ),
        (
            "ID=linuxmint\nID_LIKE=debian\nVERSION_CODENAME=faye\nDEBIAN_CODENAME=bookworm\n",
            ("debian",),
            "bookworm",
        ),
        ("ID=kali\nID_LIKE=debian\nVERSION_CODENAME=kali-rolling\n", ("debian",), "kali-rolling"),
        ("ID=arch\n", (), ""),
    ],
)
def test_a_derived_system_has_the_codename_of_the_packages_it_takes(
    tmp_path: Path, release: str, like: tuple[str, ...], codename: str
) -> None:
    (tmp_path / "release").write_text(release)
    found = facts(tmp_path, os_release=tmp_path / "release")
    assert (found.os_like, found.os_codename) == (like, codename)


@pytest.mark.parametrize(
    ("routes", "uplink", "mtu"),
    [
        ([{"dst": "default", "dev": "eth0"}], "eth0", 1500),
        (
            [
                {"dst": "default", "dev": "wlan0", "metric": 600},
                {"dst": "default", "dev": "eth0", "metric": 100},
            ],
            "eth0",
            1500,
        ),
        ([{"dst": "default", "dev": "eth0"}, {"dst": "0.0.0.0/1", "dev": "tun0"}], "tun0", 1400),
        ([{"dst": "default", "dev": "gone0"}], "gone0", 0),
        ([], "", 0),
    ],
)
def test_the_way_out_is_what_packets_take(
    tmp_path: Path, routes: list[dict[str, object]], uplink: str, mtu: int
) -> None:
    links = [{"ifname": "eth0", "mtu": 1500, "addr_info": []}, {"ifname": "tun0", "mtu": 1400}, {}]
    found = facts(tmp_path, run=ip(links, routes))
    assert (found.uplink, found.mtu) == (uplink, mtu)


def test_a_file_is_no_kvm(tmp_path: Path) -> None:
    (tmp_path / "kvm").touch()
    assert vm_error(tmp_path / "kvm") == ENOTTY
    assert vm_error(tmp_path / "gone") == ENOENT
    assert vm_error(tmp_path) == EISDIR
    assert not facts(tmp_path, "vmx").kvm_usable


@pytest.mark.parametrize(("late", "usable"), [(True, True), (False, False)])
def test_a_user_who_came_into_kvms_group_just_now_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: bool, usable: bool
) -> None:
    (tmp_path / "kvm").touch()
    monkeypatch.setattr("provision.host.facts.vm_error", lambda device: EACCES)
    monkeypatch.setattr(groups, "is_late", lambda group: late and group == "kvm")
    monkeypatch.setattr(groups, "with_group", lambda group, argv: ["echo", "0"])
    assert facts(tmp_path, "vmx").kvm_usable is usable


def test_the_probe_leaves_no_file_open(tmp_path: Path) -> None:
    device = tmp_path / "kvm"
    device.touch()
    before = set(Path("/proc/self/fd").iterdir())
    vm_error(device)
    assert set(Path("/proc/self/fd").iterdir()) == before
