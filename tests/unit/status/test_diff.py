"""The settings of nodes are compared by asking them; of a proxy, without a word of what it is."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from provision.errors import CommandTimeout, Result
from provision.node.registries import MARK
from provision.node.tasks import FOLDER, digest
from provision.providers.base import STOPPED
from provision.status.diff import find, show
from tests.fakes.checks.nodes import Place
from tests.fakes.lab import Lab, make_lab

SECRET = "http://me:hunter2@proxy.test:3128"


def running(root: Path, **keys: Any) -> Lab:
    lab = make_lab(root, **{"workers": {"count": 1}, **keys})
    for node in lab.ctx.inventory.nodes:
        lab.machines.make(node.name)
    return lab


@pytest.mark.parametrize(("proxy", "said"), [("none", "none"), (SECRET, "one")])
def test_a_node_with_another_proxy_is_named(tmp_path: Path, proxy: str, said: str) -> None:
    lab = running(tmp_path, proxy=proxy)
    lab.runners["lab-cp1"].script.append(("proxy.changed", Result("", "", 0)))
    lab.runners["lab-w1"].script.append(("proxy.changed", Result("differs: proxy\n", "", 0)))
    found = find(lab.ctx, lab.ctx.config)
    (difference,) = found.differences
    assert (difference.key, difference.lab, difference.file) == ("proxy", "another", said)
    assert (difference.refused, difference.machines) == (False, ("lab-w1",))
    show(lab.ctx, found)
    assert "hunter2" not in str(lab.report.events)


def test_nodes_that_do_not_answer_or_run_have_an_unknown_proxy(tmp_path: Path) -> None:
    lab = running(tmp_path)
    lab.machines.make("lab-w1", STOPPED)
    lab.runners["lab-cp1"].script.append(("proxy", CommandTimeout("lab-cp1", "look for the settings", 5)))
    found = find(lab.ctx, lab.ctx.config)
    assert (found.differences, lab.runners["lab-w1"].calls) == ([], [])
    assert "did not end" in found.unknown["proxy"]
    assert found.unknown.keys() >= {"proxy", "registryMirrors", "dns"}
    lab.machines.make("lab-cp1", STOPPED)
    assert find(lab.ctx, lab.ctx.config).unknown["proxy"] == "no machine runs"


NODES = ("lab-cp1", "lab-w1")
KEYS = {
    "registryMirrors": {"docker.io": ["http://192.168.60.1:5000"]},
    "insecureRegistries": ["registry.lab:5000"],
    "dns": ["192.168.60.1", "10.1.2.3"],
    "timeZone": "Asia/Seoul",
}
SAID = {
    "registryMirrors": "docker.io",
    "insecureRegistries": "registry.lab:5000",
    "dns": "192.168.60.1, 10.1.2.3",
    "timeZone": "Asia/Seoul",
}


def on_sandboxes(root: Path, **keys: Any) -> tuple[Lab, dict[str, Place]]:
    lab = running(root, **keys)
    nodes = {name: Place(name, root / name) for name in NODES}
    ctx = dataclasses.replace(lab.ctx, connect=lambda node: nodes[node.name])
    for node in nodes.values():
        node.write("/etc/resolv.conf", "nameserver 192.168.60.1\n")
    return dataclasses.replace(lab, ctx=ctx), nodes


def test_nodes_that_are_set_as_the_file_says_differ_in_nothing(tmp_path: Path) -> None:
    lab, _ = on_sandboxes(tmp_path)
    found = find(lab.ctx, lab.ctx.config)
    assert (found.differences, found.unknown.keys() & {"proxy", *KEYS}) == ([], set())


@pytest.mark.parametrize("key", KEYS)
def test_nodes_without_what_the_file_asks_are_named(tmp_path: Path, key: str) -> None:
    lab, _ = on_sandboxes(tmp_path, **{key: KEYS[key]})
    (difference,) = find(lab.ctx, lab.ctx.config).differences
    assert (difference.key, difference.file, difference.machines) == (key, SAID[key], NODES)
    assert not difference.refused


def test_a_file_of_the_users_own_is_no_difference_and_told(tmp_path: Path) -> None:
    lab, nodes = on_sandboxes(tmp_path, registryMirrors=KEYS["registryMirrors"])
    path = "/etc/containerd/certs.d/docker.io/hosts.toml"
    for node in nodes.values():
        node.write(path, "server = 'https://mine.test'\n")
    found = find(lab.ctx, lab.ctx.config)
    assert found.differences == []
    assert found.unknown["registryMirrors"] == f"your own counts: lab-cp1: {path}, lab-w1: {path}"


def test_a_file_of_ours_that_is_not_asked_for_any_more_is_a_difference(tmp_path: Path) -> None:
    lab, nodes = on_sandboxes(tmp_path)
    nodes["lab-w1"].write("/etc/containerd/certs.d/docker.io/hosts.toml", f"{MARK}\n")
    (difference,) = find(lab.ctx, lab.ctx.config).differences
    assert (difference.key, difference.file, difference.machines) == ("registryMirrors", "none", ("lab-w1",))


def test_a_node_without_its_scripts_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.sh").write_text("true\n")
    asked = {"count": 1, "provision": [{"script": str(tmp_path / "a.sh")}]}
    lab, nodes = on_sandboxes(tmp_path, workers=asked)
    (difference,) = find(lab.ctx, lab.ctx.config).differences
    assert (difference.key, difference.machines) == ("workers.provision", ("lab-w1",))
    (task,) = lab.ctx.inventory.node("lab-w1").tasks
    nodes["lab-w1"].write(f"{FOLDER}/{digest(task)}", "done\n")
    assert find(lab.ctx, lab.ctx.config).differences == []
