"""The healthy lab as the shipped checks see it, and a run of all of them."""

from __future__ import annotations

import inspect
import json
import os
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from provision.checks import (
    test_access,
    test_certificates,
    test_clock,
    test_cluster,
    test_identity,
    test_runtime,
    test_settings,
    test_system,
)
from provision.checks.facts import gather
from provision.checks.state import ClusterState
from provision.cni.none import NoCni
from provision.errors import LabError
from provision.node.clock import Offset
from provision.testing.kubectl import LabKubectl
from tests.fakes.checks.nodes import healthy_node
from tests.fakes.checks.objects import Object, healthy_objects
from tests.fakes.cluster.kubectl import StubKubectl
from tests.fakes.lab import FakeContext, make_lab
from tests.fakes.node.credentials import NOW
from tests.fakes.node.sandbox import Sandbox

MODULES = (
    test_access,
    test_certificates,
    test_clock,
    test_cluster,
    test_identity,
    test_runtime,
    test_settings,
    test_system,
)
CHECKS = tuple(
    check
    for module in MODULES
    for name, check in vars(module).items()
    if name.startswith("test_")
    and check is not test_access.test_a_login_with_the_well_known_vagrant_key_is_refused
)


@dataclass
class World:
    """A lab of one control plane and two workers; a test spoils `nodes`, `objects`, `offsets` or `api`."""

    ctx: FakeContext
    nodes: dict[str, Sandbox]
    objects: list[Object]
    api: StubKubectl
    offsets: dict[str, Offset]

    @property
    def lab(self) -> Any:
        """Return what the checks know as the lab."""
        ctx = self.ctx
        return SimpleNamespace(
            context=ctx,
            config=ctx.config,
            inventory=ctx.inventory,
            version=ctx.version,
            scaled=ctx.scaled,
            nodes=ctx.inventory.nodes,
            control_plane=ctx.inventory.first,
        )

    @property
    def worker(self) -> Sandbox:
        return self.nodes["lab-w1"]

    @property
    def first(self) -> Sandbox:
        return self.nodes["lab-cp1"]

    def find(self, kind: str, name: str) -> Object:
        """Return the object that the API server shows, to be changed."""
        return next(item for item in self.objects if (item["kind"], item["metadata"]["name"]) == (kind, name))

    def replace(self, path: str, old: str, new: str) -> None:
        """Change a file of the first worker."""
        text = self.worker.path(path).read_text()
        assert old in text
        self.worker.write(path, text.replace(old, new))

    def red(self) -> dict[str, dict[str, str]]:
        """Run all checks but the one that logs in; return of the red ones what each says, by node or ""."""
        offered: dict[str, Any] = {
            "lab": self.lab,
            "facts": gather(self.ctx),
            "cluster": ClusterState(tuple(self.objects), NOW),
            "kubectl": LabKubectl(self.ctx),
            "offset": self.offsets.__getitem__,
        }
        found: dict[str, dict[str, str]] = {}
        for check in CHECKS:
            wanted = inspect.signature(check).parameters
            for node in self.ctx.inventory.nodes if "node" in wanted else (None,):
                given = {**offered, "node": node}
                try:
                    check(**{name: given[name] for name in wanted})
                except (AssertionError, LabError, pytest.fail.Exception) as error:
                    said = found.setdefault(check.__name__.removeprefix("test_"), {})
                    said[node.name if node else ""] = str(error)
        return found


def make_world(root: Path, *, factor: float = 1.0, **keys: Any) -> World:
    """Return a healthy lab in the folder `root`; `keys` are those of lab.yaml."""
    nodes: dict[str, Sandbox] = {}
    changes: dict[str, Any] = {"connect": lambda node: nodes[node.name]}
    if keys.get("cni") == "none":
        changes["cni"] = NoCni()
    lab = make_lab(root, factor=factor, changes=changes, **keys)
    ctx = lab.ctx
    for node in ctx.inventory.nodes:
        nodes[node.name] = healthy_node(node, root / "nodes" / node.name)
    ctx.workspace.kubeconfig.write_text("{}")
    os.utime(ctx.workspace.kubeconfig, (NOW - 600, NOW - 600))
    lab.kubectl.answer("get --raw /version", json.dumps({"gitVersion": "v1.36.3"}))
    lab.kubectl.answer("get --raw /*verbose", "[+]ping ok\n[+]etcd ok\nreadyz check passed\n")
    kubelet = {"clusterDomain": ctx.config.kubeadm.cluster_domain, "maxPods": 110}
    lab.kubectl.answer("get --raw /api/v1/nodes/*", json.dumps({"kubeletconfig": kubelet}))
    lab.kubectl.answer("get secrets*", "bootstrap-token-abcdef MjAyNy0wMS0xNVQwOTowMDowMFo=\n")
    offsets = {name: Offset(-0.3, 0.3) for name in nodes}
    return World(ctx, nodes, healthy_objects(ctx), lab.kubectl, offsets)
