"""A lab for the examples: its nodes are sandboxes, its cluster is a stub's, its snapshots hold both."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path

from provision.config.inventory import Node
from provision.testing.lab import LabUnderTest
from provision.testing.node import LabNode
from tests.fakes import stubs
from tests.fakes.artifacts.bundle import make_bundle
from tests.fakes.lab import Lab, changed
from tests.fakes.node.sandbox import Sandbox
from tests.fakes.snapshots import running_lab

IMAGES = {"pause": "registry.k8s.io/pause:3.10.2", "busybox": "docker.io/library/busybox:1.37.0"}
SYSTEMCTL = 'case $1 in stop) touch stopped;; is-active) [ "$2" != kubelet ] || [ ! -e stopped ];; esac'


@dataclass
class World:
    """The lab; `saved` is snapshot -> files of cluster and nodes."""

    lab: Lab
    nodes: dict[str, Sandbox]
    saved: dict[str, dict[Path, str]] = field(default_factory=dict)
    reverts: bool = True

    @property
    def cluster(self) -> Path:
        return self.lab.kubectl.program.with_name("cluster.json")

    @property
    def objects(self) -> set[str]:
        """Return kind, namespace and name of all that is in the cluster."""
        return set(json.loads(self.cluster.read_text())["objects"])

    @property
    def usable(self) -> set[str]:
        """Return the nodes that take ordinary pods."""
        nodes = json.loads(self.cluster.read_text())["nodes"]
        return {name for name, usable in nodes.items() if usable}

    def break_cluster(self, fault: str) -> None:
        """Let something not work any more (see the stub)."""
        self.cluster.with_name("fault").write_text(fault)

    def opened(self) -> LabUnderTest:
        """Return the lab as the plugin opens it."""
        nodes = self.nodes

        class Opened(LabUnderTest):
            def _lab_node(self, node: Node) -> LabNode:
                return LabNode(node, nodes[node.name].shell, self.context.scaled)

        return Opened(self.lab.ctx)

    def told(self, call: str) -> None:
        """Keep or put back the files, as the backend does with the machine they are in."""
        files = [self.cluster, *(node.path("stopped") for node in self.nodes.values())]
        action, _, machine = call.partition(" ")
        vm = self.lab.backend.vms.get(machine)
        if action == "save" and vm is not None:
            self.saved[vm.current or ""] = {file: file.read_text() for file in files if file.exists()}
        if action == "revert" and vm is not None and self.reverts:
            for file in files:
                file.unlink(missing_ok=True)
            for file, text in self.saved[vm.current or ""].items():
                file.write_text(text)


def make_world(root: Path) -> World:
    """Return a healthy lab of three nodes without a snapshot."""
    lab = running_lab(root)
    bundle = make_bundle(root / "bundle", IMAGES)
    lab = dataclasses.replace(lab, ctx=changed(lab.ctx, find_bundle=lambda: bundle))
    lab.ctx.workspace.kubeconfig.write_text("")
    world = World(lab, {node.name: _node(node, root / "nodes") for node in lab.ctx.inventory.nodes})
    stubs.install("kubectl", lab.kubectl.program, packages=True)
    world.cluster.write_text(json.dumps(_cluster(lab)))
    world.break_cluster("")
    lab.backend.after = world.told
    lab.ctx.fake_clock.speed = 10
    return world


def _cluster(lab: Lab) -> dict[str, object]:
    nodes = lab.ctx.inventory.nodes
    items = {
        f"node  {node.name}": {
            "kind": "Node",
            "metadata": {"name": node.name},
            "status": {
                "conditions": [{"type": "Ready", "status": "True"}],
                "addresses": [{"type": "InternalIP", "address": node.ip}],
            },
        }
        for node in nodes
    }
    usable = {node.name: not node.is_control_plane for node in nodes}
    return {"objects": items, "nodes": usable, "pods": 0}


def _node(node: Node, folder: Path) -> Sandbox:
    made = Sandbox(node.name, folder / node.name)
    made.program("uname", "echo Linux")
    made.program("systemctl", SYSTEMCTL)
    made.program("sysctl", "echo 1")
    made.program("df", "echo Avail; echo 9")
    made.write("/etc/os-release", "ID=debian\n")
    made.path("/run/systemd/system").mkdir(parents=True)
    if node.is_control_plane:
        made.write("/etc/kubernetes/pki/ca.key")
    return made
