from __future__ import annotations

import dataclasses
import itertools
import os
import re
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from provision import extensions
from provision.box.recipe import DISK_GIB
from provision.config import values
from provision.config.inventory import bridge_name, inventory_of
from provision.config.kubernetes_versions import MINORS, numbers, wanted
from provision.config.schema import ClusterConfig, load_config, parse_config, sample
from provision.errors import ConfigError
from provision.host.facts import HostFacts, HostNetwork
from provision.host.fit import check_host
from tests.fakes.documents import VALID

FACTS = HostFacts(
    cpus=4,
    memory_mib=16384,
    disk_free_mib=100_000,
    networks=(HostNetwork("eth0", IPv4Network("192.168.1.0/24")),),
    cpu_flags=frozenset(),
    kvm_present=False,
    kvm_usable=False,
    os_id="debian",
    os_codename="bookworm",
    is_root=False,
    has_systemd=True,
    arch="x86_64",
)


def parsed(**keys: Any) -> ClusterConfig:
    return parse_config(yaml.safe_dump({"name": "lab", **keys}))


def refused(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        parse_config(text)
    assert caught.value.exit_code == 2
    return caught.value


def test_the_sample_is_the_defaults_and_shows_every_key() -> None:
    assert parse_config(sample()) == ClusterConfig(name="lab")
    document = yaml.safe_load(sample())
    assert set(document) == {field.alias for field in ClusterConfig.model_fields.values()}
    for section in ("controlPlanes", "workers"):
        assert set(document[section]) == {"count", "cpus", "memory", "disk"}
    assert set(document["network"]) == {"nodes", "pods", "services", "mtu", "bridge"}


def test_a_name_is_enough_and_the_rest_has_defaults() -> None:
    config = parse_config("name: lab")
    assert (config.kubernetes, config.provider, config.cni.name) == ("1.36", "auto", "auto")
    given = {"disks": (), "labels": {}, "provision": ()}
    marks = given | {"taints": ("node-role.kubernetes.io/control-plane:NoSchedule",)}
    sizes = {"count": 1, "cpus": 2, "memory": 3072, "disk": 12}
    assert config.control_planes.model_dump() == sizes | marks
    sizes = {"count": 2, "cpus": 2, "memory": 2048, "disk": 12}
    assert config.workers.model_dump() == sizes | given | {"taints": ()}
    assert config.network.services == IPv4Network("10.96.0.0/12")
    assert (config.artifacts.kind, config.artifacts.location) == ("auto", "")


def test_a_section_keeps_the_defaults_of_the_keys_it_leaves_out() -> None:
    config = parsed(controlPlanes={"count": 3}, workers={"memory": "1GiB"})
    assert (config.control_planes.count, config.control_planes.memory) == (3, 3072)
    assert (config.workers.count, config.workers.memory) == (2, 1024)


def test_a_config_cannot_be_changed() -> None:
    config = parsed()
    with pytest.raises(ValueError, match="frozen"):
        config.name = "other"
    with pytest.raises(ValueError, match="frozen"):
        config.workers.count = 3


@pytest.mark.parametrize(
    ("written", "kept"), [("1.35", "1.35"), ("v1.36", "1.36"), ("1.36.3", "1.36.3"), ("v1.37.10", "1.37.10")]
)
def test_versions(written: str, kept: str) -> None:
    assert parsed(kubernetes=written).kubernetes == kept


def test_a_node_may_have_what_its_pool_has_not() -> None:
    config = parsed(
        workers={"labels": {"disk": "hdd", "a.b/c": ""}, "taints": ["gpu=yes:NoExecute"]},
        nodes={"lab-w1": {"memory": "4G", "labels": {"disk": "ssd"}, "taints": []}},
    )
    _, first, second = inventory_of(config).nodes
    assert (first.cpus, first.memory, first.taints) == (2, 4096, ())
    assert first.labels == {"disk": "ssd", "a.b/c": ""}
    assert (second.memory, second.taints) == (2048, ("gpu=yes:NoExecute",))
    assert second.labels == {"disk": "hdd", "a.b/c": ""}


def test_words_for_versions() -> None:
    assert parsed().kubernetes == wanted(parsed(kubernetes="stable").kubernetes)
    assert wanted(parsed(kubernetes="latest").kubernetes) == max(MINORS, key=numbers)


def test_keys_of_the_users_own_are_left_alone() -> None:
    text = """
        name: lab
        x-small: &small {memory: 1GiB, x-note: for laptops}
        workers: {<<: *small, count: 1}
        """
    assert parse_config(text) == parsed(workers={"memory": "1GiB", "count": 1})


@pytest.mark.parametrize(
    ("written", "mib"),
    [
        ("3GiB", 3072),
        ("2048MiB", 2048),
        ("3Gi", 3072),
        ("2048Mi", 2048),
        ("2 GiB", 2048),
        (1700, 1700),
        ("4G", 4096),
        ("4GB", 4096),
        ("4gb", 4096),
        ("4096MB", 4096),
        ("4096M", 4096),
        ("2.5GiB", 2560),
        ("2.25g", 2304),
    ],
)
def test_memory(written: object, mib: int) -> None:
    assert parsed(controlPlanes={"memory": written}).control_planes.memory == mib


@pytest.mark.parametrize(
    ("written", "gib"), [("12GiB", 12), ("16Gi", 16), (20, 20), ("12288MB", 12), ("1T", 1024)]
)
def test_disk(written: object, gib: int) -> None:
    assert parsed(workers={"disk": written}).workers.disk == gib


def test_the_smallest_disk_is_that_of_the_box() -> None:
    assert values.SMALLEST_DISK == DISK_GIB


@given(st.integers(1700, 1024 * 1024), st.sampled_from(["{}MiB", "{}Mi"]))
def test_memory_in_mib_is_read_back(mib: int, form: str) -> None:
    assert parsed(controlPlanes={"memory": form.format(mib)}).control_planes.memory == mib


@given(st.integers(2, 1024), st.sampled_from(["{}GiB", "{}Gi"]))
def test_memory_in_gib_is_read_back(gib: int, form: str) -> None:
    assert parsed(controlPlanes={"memory": form.format(gib)}).control_planes.memory == gib * 1024


@pytest.mark.parametrize(
    ("written", "location", "images", "ca"),
    [
        ("{files: 'https://m.test/', ca: ca.pem}", "https://m.test", (), "/labs/one/ca.pem"),
        ("{images: 'm.test:5000/k8s/'}", "", (("", "m.test:5000/k8s"),), ""),
        ("{images: 'http://m.test:5000'}", "", (("", "http://m.test:5000"),), ""),
        ("{images: {quay.io: m.test/quay}}", "", (("quay.io", "m.test/quay"),), ""),
    ],
)
def test_a_mirror(written: str, location: str, images: tuple[tuple[str, str], ...], ca: str) -> None:
    artifacts = parse_config(
        f"name: lab\nartifacts: {{mirror: {written}}}", Path("/labs/one/lab.yaml")
    ).artifacts
    assert (artifacts.kind, artifacts.location) == ("mirror", location)
    assert (artifacts.images, artifacts.ca) == (images, ca)


@pytest.mark.parametrize("mirror", ["'ftp://me:secret@m.test'", "'https://me:secret@m.test/k8s'"])
@pytest.mark.parametrize("form", ["{}", "{{files: {}}}", "{{images: {}}}", "{{images: {{quay.io: {}}}}}"])
def test_a_password_is_refused_and_not_shown(mirror: str, form: str) -> None:
    error = refused(f"{{name: a, artifacts: {{mirror: {form.format(mirror)}}}}}")
    assert "secret" not in str(error)
    assert "~/.netrc" in str(error)


@pytest.mark.parametrize(
    ("written", "kind", "location"),
    [
        ("auto", "auto", ""),
        ("release", "release", ""),
        ("source", "source", ""),
        ("{bundle: b/c}", "bundle", "/labs/one/b/c"),
        ("{bundle: /b}", "bundle", "/b"),
        ("{bundle: ~/b}", "bundle", "/home/me/b"),
        ("{mirror: 'https://mirror.test/k8s/'}", "mirror", "https://mirror.test/k8s"),
    ],
)
def test_artifacts(written: str, kind: str, location: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    config = parse_config(f"name: lab\nartifacts: {written}", Path("/labs/one/lab.yaml"))
    assert (config.artifacts.kind, config.artifacts.location) == (kind, location)


REFUSALS = [
    # text, key, part of the message: what is allowed, or what was meant
    ("kubernetes: '1.36'", "name", "name: lab"),
    ("name: Lab", "name", "a-z, 0-9"),
    ("name: lab-", "name", "both ends"),
    ("name: -lab", "name", "both ends"),
    ("name: ''", "name", "1 to 40"),
    ("name: a.b", "name", "a-z, 0-9"),
    ('name: "lab\\n"', "name", "a-z, 0-9"),
    (f"name: {'a' * 41}", "name", "1 to 40"),
    ("name: 12", "name", "in quotes"),
    ("name: no", "name", "in quotes"),
    ("{name: a, kubernetes: 1.36}", "kubernetes", "in quotes"),
    ("{name: a, kubernetes: 1}", "kubernetes", "in quotes"),
    ("{name: a, kubernetes: '1.34'}", "kubernetes", "1.35, 1.36, 1.37"),
    ("{name: a, kubernetes: '1.360'}", "kubernetes", "1.35, 1.36, 1.37"),
    ("{name: a, kubernetes: '1.36.'}", "kubernetes", "1.35, 1.36, 1.37"),
    ("{name: a, kubernetes: '1.36.01'}", "kubernetes", "1.35, 1.36, 1.37"),
    ("{name: a, kubernetes: '1.36.0-rc.1'}", "kubernetes", "1.35, 1.36, 1.37"),
    ("{name: a, kubernetes: }", "kubernetes", "an empty value"),
    ("{name: a, provider: libvrt}", "provider", "did you mean `libvirt`?"),
    ("{name: a, provider: docker}", "provider", "auto, libvirt, virtualbox, hosts"),
    ("{name: a, cni: calio}", "cni", "did you mean `calico`?"),
    ("{name: a, cni: [bridge]}", "cni", "auto, calico, cilium, flannel, bridge, none"),
    ("{name: a, controlPlane: {}}", "controlPlane", "did you mean `controlPlanes`?"),
    ("{name: a, control_planes: {}}", "control_planes", "did you mean `controlPlanes`?"),
    ("{name: a, zzz: 1}", "zzz", "allowed: name, kubernetes"),
    ("{name: a, 1: 1}", "1", "allowed: name, kubernetes"),
    ("{name: a, '': 1}", "''", "allowed: name, kubernetes"),
    ("{name: a, network: {pods: 10.0.0.0/0}}", "network.pods", "10.0.0.0/8, 172.16.0.0/12"),
    ("{name: a, workers: {cuont: 1}}", "workers.cuont", "did you mean `count`?"),
    ("{name: a, network: {pod: 10.0.0.0/16}}", "network.pod", "did you mean `pods`?"),
    ("{name: a, workers: 3}", "workers", "a mapping of count, cpus, memory, disk, disks, labels, taints"),
    ("{name: a, workers: }", "workers", "a mapping of count, cpus, memory, disk, disks, labels, taints"),
    ("{name: a, workers: {labels: []}}", "workers.labels", "a mapping of KEY: VALUE"),
    ("{name: a, workers: {labels: {-a: b}}}", "workers.labels.'-a'", "[PREFIX/]NAME"),
    ("{name: a, workers: {labels: {A_/a: b}}}", "workers.labels.'A_/a'", "[PREFIX/]NAME"),
    ("{name: a, workers: {labels: {a: 1}}}", "workers.labels.a", "in quotes"),
    ("{name: a, workers: {labels: {a: -}}}", "workers.labels.a", "up to 63 letters"),
    (
        "{name: a, workers: {labels: {kubernetes.io/hostname: b}}}",
        "workers.labels.kubernetes.io/hostname",
        "any other",
    ),
    ("{name: a, workers: {taints: gpu}}", "workers.taints", "a list of KEY=VALUE:EFFECT"),
    ("{name: a, workers: {taints: [gpu]}}", "workers.taints", "NoSchedule, PreferNoSchedule, NoExecute"),
    ("{name: a, workers: {taints: ['g=a:NoSchedule', 'g:NoSchedule']}}", "workers.taints", "each key once"),
    ("{name: a, nodes: []}", "nodes", "a mapping of NODE"),
    ("{name: a, nodes: {1: {}}}", "nodes", "a mapping of NODE"),
    ("{name: a, nodes: {a-w3: {}}}", "nodes.a-w3", "allowed: a-cp1, a-w1, a-w2"),
    ("{name: a, nodes: {a-w1: {cpu: 3}}}", "nodes.a-w1.cpu", "did you mean `cpus`?"),
    ("{name: a, nodes: {a-w1: 3}}", "nodes.a-w1", "a mapping of name, cpus, memory, disk"),
    ("{name: a, nodes: {a-cp1: {memory: 1G}}}", "nodes.a-cp1.memory", "at least 1700"),
    ("{name: a, workers: {disks: 10GiB}}", "workers.disks", "a list of up to 8 sizes"),
    ("{name: a, workers: {disks: [1, 1, 1, 1, 1, 1, 1, 1, 1]}}", "workers.disks", "a list of up to 8 sizes"),
    ("{name: a, workers: {disks: [512MiB]}}", "workers.disks", "1GiB to 4096GiB"),
    ("{name: a, controlPlanes: {disks: [[1]]}}", "controlPlanes.disks", "1GiB to 4096GiB"),
    ("{name: a, nodes: {a-w1: {disks: [5000GiB]}}}", "nodes.a-w1.disks", "1GiB to 4096GiB"),
    (
        "{name: a, provider: virtualbox, nodes: {a-w1: {disks: [1]}}}",
        "nodes.a-w1.disks",
        "provider: libvirt",
    ),
    ("{name: a, nodes: {a-w1: {address: 7}}}", "nodes.a-w1.address", "an IPv4 address of network.nodes"),
    ("{name: a, nodes: {a-w1: {address: }}}", "nodes.a-w1.address", "an empty value"),
    ("{name: a, nodes: {a-w1: {address: 'fd00::1'}}}", "nodes.a-w1.address", "an IPv4 address"),
    ("{name: a, nodes: {a-w1: {address: 192.168.61.9}}}", "nodes.a-w1.address", "of 192.168.60.0/24"),
    ("{name: a, nodes: {a-w1: {address: 192.168.60.0}}}", "nodes.a-w1.address", "the network's own"),
    ("{name: a, nodes: {a-w1: {address: 192.168.60.1}}}", "nodes.a-w1.address", "of the host"),
    ("{name: a, nodes: {a-w1: {address: 192.168.60.255}}}", "nodes.a-w1.address", "broadcast"),
    ("{name: a, nodes: {a-w1: {address: 192.168.60.22}}}", "nodes.a-w1.address", "is the address of a-w2"),
    (
        "{name: a, nodes: {a-w1: {address: 192.168.60.50}, a-w2: {address: 192.168.60.50}}}",
        "nodes.a-w2.address",
        "is the address of a-w1",
    ),
    ("{name: a, network: []}", "network", "a mapping of nodes, pods, services"),
    ("{name: a, network: {mtu: 9000}}", "network.mtu", "1280 to 1500"),
    ("{name: a, network: {mtu: '1400'}}", "network.mtu", "1280 to 1500"),
    ("{name: a, network: {bridge: }}", "network.bridge", "none, or the name of a bridge"),
    ("{name: a, network: {bridge: 7}}", "network.bridge", "none, or the name of a bridge"),
    ('{name: a, network: {bridge: "br0\'; x"}}', "network.bridge", "none, or the name of a bridge"),
    ("{name: a, controlPlanes: {count: 0}}", "controlPlanes.count", "1, 3, 5 or 7"),
    ("{name: a, controlPlanes: {count: 2}}", "controlPlanes.count", "1, 3, 5 or 7"),
    ("{name: a, controlPlanes: {count: 9}}", "controlPlanes.count", "1, 3, 5 or 7"),
    ("{name: a, controlPlanes: {count: true}}", "controlPlanes.count", "1, 3, 5 or 7"),
    ("{name: a, controlPlanes: {count: '1'}}", "controlPlanes.count", "1, 3, 5 or 7"),
    ("{name: a, controlPlanes: {count: 1.0}}", "controlPlanes.count", "1, 3, 5 or 7"),
    ("{name: a, workers: {count: -1}}", "workers.count", "0 to 50"),
    ("{name: a, workers: {count: 51}}", "workers.count", "0 to 50"),
    ("{name: a, controlPlanes: {cpus: 1}}", "controlPlanes.cpus", "2 to 128"),
    ("{name: a, workers: {cpus: 0}}", "workers.cpus", "1 to 128"),
    ("{name: a, controlPlanes: {memory: 1699}}", "controlPlanes.memory", "1700MiB"),
    ("{name: a, workers: {memory: 1023MiB}}", "workers.memory", "1024MiB"),
    ("{name: a, workers: {memory: 2 gigabytes}}", "workers.memory", "4GiB, 4G or 2.5GB"),
    ("{name: a, workers: {memory: 2.5}}", "workers.memory", "whole MiB"),
    ("{name: a, workers: {memory: 2.0001GiB}}", "workers.memory", "whole MiB"),
    ("{name: a, workers: {memory: -2GiB}}", "workers.memory", "whole MiB"),
    ("{name: a, workers: {memory: 2000TiB}}", "workers.memory", "1048576MiB"),
    ("{name: a, workers: {memory: 2000000MiB}}", "workers.memory", "1048576MiB"),
    (f"{{name: a, workers: {{memory: 0x{'f' * 5000}}}}}", "workers.memory", "so large a number"),
    ("{name: a, workers: {disk: 11}}", "workers.disk", "12GiB to"),
    ("{name: a, workers: {disk: 12000MiB}}", "workers.disk", "whole GiB"),
    ("{name: a, workers: {disk: 12.5GiB}}", "workers.disk", "whole GiB"),
    ("{name: a, network: {nodes: 192.168.60.1/24}}", "network.nodes", "192.168.60.0/24"),
    ("{name: a, network: {nodes: 192.168.60.0}}", "network.nodes", "private IPv4 range"),
    ("{name: a, network: {nodes: 300.0.0.0/24}}", "network.nodes", "private IPv4 range"),
    ("{name: a, network: {nodes: 'fd00::/64'}}", "network.nodes", "private IPv4 range"),
    ("{name: a, network: {nodes: 7}}", "network.nodes", "private IPv4 range"),
    ("{name: a, network: {nodes: 8.8.8.0/24}}", "network.nodes", "10.0.0.0/8"),
    ("{name: a, network: {nodes: 127.0.0.0/8}}", "network.nodes", "10.0.0.0/8"),
    ("{name: a, network: {nodes: 169.254.0.0/16}}", "network.nodes", "10.0.0.0/8"),
    ("{name: a, network: {pods: 224.0.0.0/8}}", "network.pods", "10.0.0.0/8"),
    ("{name: a, network: {pods: 0.0.0.0/0}}", "network.pods", "10.0.0.0/8"),
    ("{name: a, network: {nodes: 192.168.60.0/29}}", "network.nodes", "/28"),
    ("{name: a, network: {pods: 10.244.0.0/21}}", "network.pods", "/20"),
    ("{name: a, network: {services: 10.0.0.0/11}}", "network.services", "/12 to /28"),
    ("{name: a, network: {services: 10.96.0.0/29}}", "network.services", "/12 to /28"),
    ("{name: a, network: {pods: 192.168.0.0/16}}", "network.pods", "overlaps network.nodes"),
    ("{name: a, network: {services: 10.244.128.0/24}}", "network.services", "overlaps network.pods"),
    ("{name: a, network: {nodes: 10.100.0.0/24}}", "network.services", "overlaps network.nodes"),
    ("{name: a, network: {nodes: 192.168.60.0/28}}", "network.nodes", "/27 or wider"),
    ("{name: a, network: {pods: 10.244.0.0/20}}", "network.pods", "/19 or wider"),
    ("{name: a, workers: {count: 43}, network: {nodes: 192.168.60.0/26}}", "network.nodes", "/25 or wider"),
    ("{name: a, workers: {count: 44}, network: {pods: 10.244.0.0/18}}", "network.pods", "/17 or wider"),
    ("{name: a, nodes: {a-w1: {name: W1}}}", "nodes.a-w1.name", "up to 63 of a-z"),
    ("{name: a, nodes: {a-w1: {name: w1.lab}}}", "nodes.a-w1.name", "up to 63 of a-z"),
    ("{name: a, nodes: {a-w1: {name: -w1}}}", "nodes.a-w1.name", "up to 63 of a-z"),
    ("{name: a, nodes: {a-w1: {name: w1-}}}", "nodes.a-w1.name", "up to 63 of a-z"),
    (f"{{name: a, nodes: {{a-w1: {{name: {'a' * 64}}}}}}}", "nodes.a-w1.name", "up to 63 of a-z"),
    ("{name: a, nodes: {a-w1: {name: ''}}}", "nodes.a-w1.name", "up to 63 of a-z"),
    ("{name: a, nodes: {a-w1: {name: 21}}}", "nodes.a-w1.name", "no number"),
    ("{name: a, nodes: {a-w1: {name: '21'}}}", "nodes.a-w1.name", "no number"),
    ("{name: a, nodes: {a-w1: {name: '0x1f'}}}", "nodes.a-w1.name", "no number"),
    ("{name: a, nodes: {a-w1: {name: localhost}}}", "nodes.a-w1.name", "such as w1-k8s"),
    ("{name: a, nodes: {a-w1: {name: a-w2}}}", "nodes.a-w1.name", "a-w1, or a name of another form"),
    ("{name: a, nodes: {a-w1: {name: a-w7}}}", "nodes.a-w1.name", "a-w1, or a name of another form"),
    ("{name: a, nodes: {a-w1: {name: a-cp1}}}", "nodes.a-w1.name", "a-w1, or a name of another form"),
    ("{name: a, nodes: {a-w1: {name: n}, a-w2: {name: n}}}", "nodes.a-w2.name", "n is the name of a-w1"),
    ("{name: a, nodes: {n: {name: b}}}", "nodes.n", "a-cp1, a-w1, a-w2"),
    ("{name: a, artifacts: sauce}", "artifacts", "auto, release, source, {bundle: FOLDER}"),
    ("{name: a, artifacts: bundle}", "artifacts", "{bundle: FOLDER}"),
    ("{name: a, artifacts: {}}", "artifacts", "{bundle: FOLDER}"),
    ("{name: a, artifacts: {bundle: }}", "artifacts", "{bundle: FOLDER}"),
    ("{name: a, artifacts: {bundle: b, mirror: m}}", "artifacts", "{bundle: FOLDER}"),
    ("{name: a, artifacts: {kind: source, location: x}}", "artifacts", "{bundle: FOLDER}"),
    ("{name: a, artifacts: {kind: source}}", "artifacts", "{bundle: FOLDER}"),
    ("{name: a, artifacts: {bundle: ~nobody-by-this-name/b}}", "artifacts", "path of a folder"),
    ("{name: a, artifacts: {mirror: mirror.test}}", "artifacts.mirror", "http(s)://HOST"),
    ("{name: a, artifacts: {mirror: 'ftp://mirror.test'}}", "artifacts.mirror", "http(s)://HOST"),
    ("{name: a, artifacts: {mirror: 'http://['}}", "artifacts.mirror", "http(s)://HOST"),
    ("{name: a, artifacts: {mirror: 'http://h/ü'}}", "artifacts.mirror", "http(s)://HOST"),
    ("{name: a, artifacts: {mirror: 'http://ü.test'}}", "artifacts.mirror", "http(s)://HOST"),
    ("{name: a, artifacts: {mirror: 'http://h/a b'}}", "artifacts.mirror", "http(s)://HOST"),
    ("{name: a, artifacts: {mirror: 'http://a..b'}}", "artifacts.mirror", "http(s)://HOST"),
    (f"{{name: a, artifacts: {{mirror: 'http://{'a' * 64}.b'}}}}", "artifacts.mirror", "http(s)://HOST"),
    ("{name: a, artifacts: {mirror: 'http://h:x/'}}", "artifacts.mirror", "http(s)://HOST"),
    ("{name: a, artifacts: {mirror: 'http://h:99999/'}}", "artifacts.mirror", "http(s)://HOST"),
    ("{name: a, artifacts: {mirror: {images: 'a..b/c'}}}", "artifacts.mirror.images", "HOST[:PORT]"),
    ("{name: a, cni: {manifest: 'http://a..b/c'}}", "cni.manifest", "http(s)://HOST"),
    ("{name: a, artifacts: {mirror: 'http://m.test/?key=1'}}", "artifacts.mirror", "without `?`"),
    ("{name: a, artifacts: {mirror: {file: 'http://m.test'}}}", "artifacts.mirror", "files: URL"),
    ("{name: a, artifacts: {mirror: {ca: x.pem}}}", "artifacts.mirror", "files: URL"),
    ("{name: a, artifacts: {mirror: {files: m.test}}}", "artifacts.mirror.files", "http(s)://HOST"),
    ("{name: a, artifacts: {mirror: {images: 3}}}", "artifacts.mirror.images", "HOST[:PORT]"),
    ("{name: a, artifacts: {mirror: {images: {}}}}", "artifacts.mirror.images", "HOST[:PORT]"),
    ("{name: a, artifacts: {mirror: {images: 'oci://m.test'}}}", "artifacts.mirror.images", "HOST[:PORT]"),
    ("{name: a, artifacts: {mirror: {images: {quay.io: ''}}}}", "artifacts.mirror.images", "HOST[:PORT]"),
    ("{name: a, artifacts: {mirror: {images: m.test, ca: ''}}}", "artifacts.mirror.ca", "PEM"),
]


@pytest.mark.parametrize(("text", "key", "part"), REFUSALS, ids=[text[:60] for text, *_ in REFUSALS])
def test_refusals_name_the_key_and_what_is_allowed(text: str, key: str, part: str) -> None:
    error = refused(text)
    assert error.key == key
    assert str(error).startswith(f"{key}: ")
    assert part in str(error)
    assert "allowed:" in str(error)
    assert len(str(error).splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("name: a\nworkers: [", "line 2"),
        ("name: a\nworkers:\n\tcount: 1", "line 3"),
        ("name: a\nname: b", "line 2: the key 'name' is there twice"),
        ("name: a\nworkers:\n  count: 1\n  cpus: 2\n  count: 3", "line 5: the key 'count' is there twice"),
        ("name: a\n---\nname: b", "line 2"),
        ("name: !!python/object/apply:os.getcwd []", "line 1"),
        ("name: *nobody", "line 1"),
        ("{name: a, [1]: 2}", "line 1"),
        ("name: \x00", "special characters"),
        ("name: 2001-99-99", "cannot be read"),
        ("name: a\nworkers: {count: !!bool x}", "line 2: 'x' cannot be read as bool; allowed: a valid bool"),
        ("name: !!timestamp x", "line 1: 'x' cannot be read as timestamp"),
        ("name: !!int ''", "line 1: '' cannot be read as int"),
        ("name: !!float ''", "line 1: '' cannot be read as float"),
        ("name: a\nworkers: &a {count: *a}", "line 2: an alias refers to a value that contains it"),
        ("[" * 600, "cannot be read"),
        ("", "is empty"),
        ("# only a comment\n", "is empty"),
        ("- name: a", "a mapping"),
        ("lab", "a mapping"),
    ],
)
def test_text_that_is_no_lab_is_refused(text: str, part: str) -> None:
    assert part in str(refused(text))


def test_every_problem_is_listed_on_a_line_of_its_own() -> None:
    error = refused("name: A\nkubernetes: 1.36\nworkers: {count: 99, cpu: 2}\nnetwork: {pods: 10.0.0.1/16}\n")
    keys = [line.partition(":")[0] for line in str(error).splitlines()]
    assert keys == ["name", "kubernetes", "workers.count", "workers.cpu", "network.pods"]
    assert error.key == "name"


def test_anchors_and_merges_are_no_duplicates() -> None:
    pools = "controlPlanes: &pool {cpus: 4, count: 1}\nworkers: {<<: *pool, count: 3}\n"
    config = parse_config(f"name: a\n{pools}")
    assert (config.workers.cpus, config.workers.count) == (4, 3)


def test_no_value_of_any_yaml_type_is_a_traceback() -> None:
    kinds = [
        "null",
        "bool",
        "int",
        "float",
        "binary",
        "timestamp",
        "omap",
        "pairs",
        "set",
        "str",
        "seq",
        "map",
    ]
    for kind, value in itertools.product(
        kinds, ["''", "x", "-", "0x", "1:", ".", "[]", "[x]", "{}", "{=: x}"]
    ):
        _load(f"{{name: a, workers: !!{kind} {value}}}")


def bomb(levels: int, leaf: str = "x") -> str:
    lines = [f"a0: &a0 [{', '.join([leaf] * 9)}]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        f"{bomb(30)}\nname: *a29",
        f"{bomb(30)}\nname: lab\ncni: {{name: cilium, values: {{x: *a29}}}}",
        f"{bomb(3, 'x' * 10_000)}\nname: *a2",
        "a0: &a0 {k: x}\n"
        + "\n".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, 30)),
        f"name: [{'x,' * 20_000}]",
    ],
    ids=["name", "values", "long-texts", "merges", "list"],
)
def test_what_is_larger_than_any_lab_is_refused_in_no_time(text: str) -> None:
    error = str(refused(text))
    assert re.search(r"line \d+: this is more than (10000 values|1048576 characters); allowed: ", error)


def test_values_of_a_chart_may_be_long_and_use_aliases() -> None:
    values = {f"key{number}": {"list": [1, "two", None], "text": "x" * 50} for number in range(1000)}
    text = yaml.safe_dump({"name": "a", "cni": {"name": "cilium", "values": values}})
    assert parse_config(text).cni.values == values
    aliases = "cni: {name: cilium, values: {a: &a [x], b: *a, c: *a}}"
    assert parse_config(f"name: a\n{aliases}").cni.values["c"] == ["x"]


def test_a_missing_file_points_to_init(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"lab\.yaml") as caught:
        load_config(tmp_path / "lab.yaml")
    assert caught.value.hint == "kubelab init"


def test_a_folder_and_a_file_of_bytes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path)
    (tmp_path / "lab.yaml").write_bytes(b"name: \xff\xfe\x80")
    with pytest.raises(ConfigError, match=r"lab\.yaml"):
        load_config(tmp_path / "lab.yaml")


def test_only_a_regular_file_of_a_sane_size_is_read(tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text("name: a\n" + "#" * (2**20 - 8))
    assert load_config(file).name == "a"
    file.write_text("name: a\n" + "#" * (2**20 - 7))
    with pytest.raises(ConfigError, match="allowed: 1 MiB at most"):
        load_config(file)
    named = tmp_path / "fifo"
    os.mkfifo(named)
    for path, kind in ((named, "a named pipe"), (Path("/dev/zero"), "a device"), (tmp_path, "a folder")):
        with pytest.raises(
            ConfigError, match=f"{path} cannot be read: it is {kind}; allowed: a regular file"
        ):
            load_config(path)


def test_a_pipe_that_is_given_is_read() -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader), os.fdopen(writer, "w") as text:
        text.write("name: piped")
        text.close()
        assert load_config(Path(f"/dev/fd/{reader}")).name == "piped"


def test_every_registered_provider_and_cni_is_allowed() -> None:
    for name in extensions.PROVIDERS:
        assert parsed(provider=name).provider == name
    for name in extensions.CNIS:
        assert parsed(cni=name).cni.name == name


@pytest.mark.parametrize("key", ["nodes", "pods", "services"])
def test_a_network_that_the_host_uses_is_refused(key: str) -> None:
    config = parsed()
    inside = next(config.network.ranges()[key].subnets(new_prefix=28))
    facts = dataclasses.replace(FACTS, networks=(HostNetwork("virbr7", inside),))
    with pytest.raises(ConfigError, match="virbr7") as caught:
        check_host(config, facts)
    assert caught.value.key == f"network.{key}"


def test_the_labs_own_bridge_is_no_overlap_but_another_labs_is() -> None:
    config = parsed()
    own = HostNetwork(bridge_name("lab"), config.network.nodes)
    check_host(config, dataclasses.replace(FACTS, networks=(own,)))
    other = HostNetwork(bridge_name("other"), config.network.nodes)
    with pytest.raises(ConfigError, match=r"network\.nodes"):
        check_host(config, dataclasses.replace(FACTS, networks=(own, other)))


def test_a_host_only_interface_is_virtualboxs_own_in_exactly_the_nodes_range() -> None:
    config = parsed(provider="virtualbox")
    own = HostNetwork("vboxnet0", config.network.nodes)
    check_host(config, dataclasses.replace(FACTS, networks=(own,)))
    wider = HostNetwork("vboxnet0", config.network.nodes.supernet())
    for other, lab in ((wider, config), (own, parsed())):
        with pytest.raises(ConfigError, match="vboxnet0"):
            check_host(lab, dataclasses.replace(FACTS, networks=(other,)))


def test_a_lab_without_workers_needs_room_for_its_control_planes_alone() -> None:
    small = {"nodes": "192.168.60.0/28", "pods": "10.244.0.0/20"}
    assert parsed(workers={"count": 0}, network=small).network.pods.prefixlen == 20


def test_all_memory_of_the_host_but_the_reserve_may_be_used() -> None:
    config = parsed()
    wanted = 3072 + 2 * 2048
    check_host(config, dataclasses.replace(FACTS, memory_mib=wanted + 512))
    with pytest.raises(ConfigError, match=f"{wanted}MiB of {wanted + 511}MiB") as caught:
        check_host(config, dataclasses.replace(FACTS, memory_mib=wanted + 511))
    assert caught.value.key == "workers.memory"


def test_the_pool_that_takes_most_is_blamed_for_memory() -> None:
    with pytest.raises(ConfigError) as caught:
        check_host(parsed(workers={"count": 0}), dataclasses.replace(FACTS, memory_mib=1024))
    assert caught.value.key == "controlPlanes.memory"


def test_a_node_has_no_more_cpus_than_the_host() -> None:
    check_host(parsed(workers={"cpus": 4, "count": 3}), FACTS)
    with pytest.raises(ConfigError, match="up to 4") as caught:
        check_host(parsed(workers={"cpus": 5}), FACTS)
    assert caught.value.key == "workers.cpus"


def test_a_host_with_one_cpu_may_run_what_kubeadm_needs_and_no_worker_is_no_problem() -> None:
    check_host(parsed(), dataclasses.replace(FACTS, cpus=1))
    check_host(parsed(workers={"count": 0, "cpus": 64}), FACTS)


def test_all_that_the_host_lacks_is_listed(tmp_path: Path) -> None:
    (tmp_path / "lab.yaml").write_text("name: lab\nworkers: {cpus: 8}\n")
    facts = dataclasses.replace(
        FACTS, memory_mib=4096, networks=(HostNetwork("eth0", IPv4Network("192.168.60.0/24")),)
    )
    config = load_config(tmp_path / "lab.yaml")
    assert config.workers.cpus == 8
    with pytest.raises(ConfigError) as caught:
        check_host(config, facts)
    keys = [line.partition(":")[0] for line in str(caught.value).splitlines()]
    assert keys == ["network.nodes", "workers.cpus", "workers.memory"]


@given(VALID)
def test_every_valid_config_loads_and_its_nodes_are_apart_and_in_range(document: dict[str, Any]) -> None:
    config = parse_config(yaml.safe_dump(document))
    inventory = inventory_of(config)
    nodes = inventory.nodes
    assert len(nodes) == config.control_planes.count + config.workers.count
    for seen in ("name", "ip", "mac", "pod_cidr"):
        assert len({getattr(node, seen) for node in nodes}) == len(nodes)
    hosts = config.network.nodes
    edges = {str(hosts.network_address), str(hosts.broadcast_address), inventory.gateway}
    for node in nodes:
        assert IPv4Network(node.ip).subnet_of(hosts)
        assert node.ip not in edges
        assert IPv4Network(node.pod_cidr).subnet_of(config.network.pods)
        assert len(node.name) <= 63


def _load(content: bytes | str) -> None:
    try:
        assert parse_config(content).name
    except ConfigError as error:
        assert str(error)
