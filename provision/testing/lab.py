"""The `lab` fixture's object."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from typing import Any

from provision.config.inventory import Inventory, Node
from provision.config.schema import ClusterConfig
from provision.errors import LabError
from provision.lab.context import Context
from provision.lab.opening import open_lab, read_lab
from provision.providers.base import RUNNING
from provision.report.base import EventReporter
from provision.testing.kubectl import LabKubectl
from provision.testing.node import LabNode


class LabUnderTest:
    """A lab: its configuration, and its nodes."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.kubectl = LabKubectl(context)
        self.nodes = [self._lab_node(node) for node in context.inventory.nodes]

    @property
    def config(self) -> ClusterConfig:
        """Return the configuration from lab.yaml, with `auto` values resolved."""
        return self.context.config

    @property
    def inventory(self) -> Inventory:
        """Return the nodes that lab.yaml asks for."""
        return self.context.inventory

    @property
    def version(self) -> str:
        """Return the version of Kubernetes, such as "1.36.3"."""
        return self.context.version

    @property
    def image(self) -> str:
        """Return the name of a busybox image that every node has; raises LabError before `kubelab up`."""
        bundle = self.context.find_bundle()
        if bundle is None:
            raise LabError(f"there is no bundle of Kubernetes {self.version}", hint="kubelab up")
        return bundle.image("busybox").ref

    @property
    def control_plane(self) -> LabNode:
        """Return the first control plane."""
        return self.nodes[0]

    @property
    def workers(self) -> list[LabNode]:
        return [node for node in self.nodes if not node.is_control_plane]

    def node(self, name: str) -> LabNode:
        """Return the node called `name`; raises ConfigError that names the nearest one."""
        wanted = self.inventory.node(name).name
        return next(node for node in self.nodes if node.name == wanted)

    def scaled(self, seconds: float) -> float:
        """Return a deadline that suits the speed of the machines, in seconds."""
        return self.context.scaled(seconds)

    def require_up(self) -> None:
        """Raise LabError unless at least one machine of the lab is running."""
        states = self.context.machines.states()
        if RUNNING not in states.values():
            state = "none of its machines is running" if states else "it has no machines"
            raise LabError(f"the lab {self.config.name} is not up: {state}", hint="kubelab up")

    def disconnect(self) -> None:
        """Close every connection; the next command opens a new one."""
        self.kubectl.forget()
        for node in self.nodes:
            node.disconnect()
        self.context.disconnect()

    def _lab_node(self, node: Node) -> LabNode:
        return LabNode(node, lambda: self.context.connect(node).shell(), self.context.scaled)

    def __repr__(self) -> str:
        return f"<lab {self.config.name}>"


class _Prints(EventReporter):
    """Prints infos and warnings: pytest shows them with the test they belong to."""

    def event(self, name: str, fields: dict[str, Any]) -> None:
        if name in ("info", "warn"):
            with contextlib.suppress(OSError):
                print(f"kubelab: {fields['text']}")


def open_under_test(file: Path) -> LabUnderTest:
    """Return the lab of a lab.yaml, without connecting to its machines; raises LabError."""
    config, workspace = read_lab(file)
    context = open_lab(config, workspace, _Prints(), threading.Event())
    # The quick checks of `up` have the patience that it found the machines to need.
    context.pace.take(os.environ)
    return LabUnderTest(context)
