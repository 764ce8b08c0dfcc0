from __future__ import annotations

import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from provision.box.reference import BoxReference
from provision.config.inventory import inventory_of
from provision.config.schema import parse_config
from provision.host.facts import Acceleration
from provision.providers.libvirt.made import HOSTNAME
from provision.providers.vagrantfile import vagrantfile
from tests.golden import golden

KVM, TCG = Acceleration("kvm", 1.0), Acceleration("tcg", 10.0)
BOX = BoxReference("kubelab-1.36.3-0123456789ab", "1.0.0", "file:///cache/boxes/0123/box.json", 12)
KEY = ".kubelab/lab/id_ed25519"
CASES = [("libvirt", TCG, "libvirt-tcg"), ("libvirt", KVM, "libvirt-kvm"), ("virtualbox", KVM, "virtualbox")]


def rendered(provider: str, acceleration: Acceleration, **keys: Any) -> str:
    config = parse_config(yaml.safe_dump({"name": "lab", "provider": provider, **keys}))
    return vagrantfile(config, inventory_of(config), provider, acceleration, BOX, KEY)


@pytest.mark.parametrize(("provider", "acceleration", "name"), CASES)
def test_the_vagrantfile(provider: str, acceleration: Acceleration, name: str) -> None:
    golden.check(f"vagrantfile-{name}.rb", rendered(provider, acceleration))


@pytest.mark.skipif(shutil.which("ruby") is None, reason="ruby is not installed")
@pytest.mark.parametrize("name", [*(name for *_, name in CASES), "libvirt-names"])
def test_ruby_reads_it(name: str) -> None:
    file = golden.FOLDER / f"vagrantfile-{name}.rb"
    checked = subprocess.run(["ruby", "-wc", file], capture_output=True, text=True, check=False)
    assert (checked.stdout, checked.stderr) == ("Syntax OK\n", "")


@pytest.mark.skipif(shutil.which("ruby") is None, reason="ruby is not installed")
def test_further_disks_have_names_and_serial_numbers_of_their_own() -> None:
    text = rendered("libvirt", KVM, workers={"count": 1, "disks": ["10GiB", "5GiB"]})
    assert text.count("disks: [") == 1
    (block,) = re.findall(r"^ *node\.fetch\(:disks.*?^ *end$", text, re.M | re.S)
    script = f"""
    libvirt = Object.new
    def libvirt.storage(kind, path:, size:, device:, serial:, **)
      puts([kind, path, size, device, serial].join(" "))
    end
    [{{ name: "lab-cp1" }}, {{ name: "lab-w1", disks: [10, 5] }}].each {{ |node| {block} }}
    """
    said = subprocess.run(["ruby", "-we", script], capture_output=True, text=True, check=True)
    assert (said.stdout.splitlines(), said.stderr) == (
        [
            "file kubelab-lab-w1-1.qcow2 10G vdb kubelab-1",
            "file kubelab-lab-w1-2.qcow2 5G vdc kubelab-2",
        ],
        "",
    )


def test_a_machine_keeps_its_name_and_its_node_gets_the_one_of_its_own() -> None:
    names = {"lab-cp1": {"name": "m-k8s"}, "lab-w1": {"name": "w1-k8s"}}
    golden.check("vagrantfile-libvirt-names.rb", rendered("libvirt", KVM, nodes=names))
    plain, named = (rendered("libvirt", KVM, nodes=nodes).splitlines() for nodes in ({}, names))
    changed = {one.strip(): other.strip() for one, other in zip(plain, named, strict=True) if one != other}
    # Also what the lab's network calls them; all else is as without.
    assert len(changed) == 4
    for own, machine in (("m-k8s", "lab-cp1"), ("w1-k8s", "lab-w1")):
        (node,) = [line for line in changed.values() if line.startswith("{") and own in line]
        assert node.startswith(f"{{ name: '{machine}', hostname: '{own}', ip: ")


@pytest.mark.skipif(shutil.which("ruby") is None, reason="ruby is not installed")
def test_the_guest_is_told_the_name_of_its_node() -> None:
    text = rendered("libvirt", KVM, nodes={"lab-w1": {"name": "w1-k8s"}})
    (block,) = re.findall(r"^ *hostname = .*?^ *\}$", text, re.M | re.S)
    (nodes,) = re.findall(r"^NODES = .*?freeze$", text, re.M | re.S)
    script = f"""
    require "base64"
    PUBLIC_KEY = "key"
    {nodes}
    Machine = Struct.new(:sysinfo)
    NODES.each do |node|
      libvirt = Machine.new
      {block}
      hostname, files = libvirt.sysinfo[:"oem strings"]
      puts [node[:name], hostname, Base64.decode64(files.split("=", 2).last).lines.first.strip].join(" ")
    end
    """
    said = subprocess.run(["ruby", "-we", script], capture_output=True, text=True, check=True)
    assert said.stderr == ""
    hosts = {"lab-cp1": "lab-cp1", "lab-w1": "w1-k8s", "lab-w2": "lab-w2"}
    assert said.stdout.splitlines() == [
        f"{machine} {HOSTNAME}{name} f+ /etc/hostname 0644 root root - {name}"
        for machine, name in hosts.items()
    ]


@pytest.mark.parametrize(
    ("provider", "network"), [("libvirt", "= '192.168.58.0/23'"), ("virtualbox", "netmask: '255.255.254.0'")]
)
def test_it_follows_the_lab(provider: str, network: str) -> None:
    text = rendered(
        provider,
        KVM,
        controlPlanes={"cpus": 4, "memory": "4GiB"},
        workers={"count": 1},
        network={"nodes": "192.168.58.0/23"},
    )
    assert "name: 'lab-cp1', ip: '192.168.58.11'" in text
    assert "cpus: 4, memory: 4096, disk: 12" in text
    assert text.count("name: 'lab-") == 2
    assert network in text


@pytest.mark.parametrize(
    ("provider", "bridge", "line"),
    [
        ("libvirt", "br0", """:public_network, dev: 'br0', type: "bridge", auto_config: false"""),
        ("virtualbox", "en0: Wi-Fi", """"public_network", bridge: 'en0: Wi-Fi', auto_config: false"""),
    ],
)
def test_a_second_card_is_the_last_one(provider: str, bridge: str, line: str) -> None:
    plain, bridged = (
        rendered(provider, KVM, network={"bridge": name}).splitlines() for name in ("none", bridge)
    )
    (place,) = [place for place, text in enumerate(bridged) if text.strip() == f"machine.vm.network {line}"]
    assert bridged[:place] + bridged[place + 1 :] == plain
    assert not any("machine.vm.network" in text for text in bridged[place + 1 :])
