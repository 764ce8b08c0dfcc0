"""Everything that a step may use; immutable, and the same for every step of a run."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from provision.artifacts.bundle import Bundle
from provision.box.recipe import BoxRecipe
from provision.cluster.kubeconfig import checked
from provision.cluster.kubectl import Kubectl
from provision.cni.base import Cni, Site
from provision.cni.manifest import required_file
from provision.config.inventory import Inventory, Node
from provision.config.schema import ClusterConfig
from provision.engine.patience import Patience
from provision.engine.waiting import RealClock
from provision.errors import LabError
from provision.host.facts import Acceleration
from provision.lab.decision import Decision
from provision.lab.software import Software
from provision.node.runner import Runner
from provision.node.speed import Pace
from provision.providers.base import Provider, SnapshotBackend
from provision.providers.vagrant import Machines
from provision.report.base import Reporter
from provision.ssh.host_keys import HostKeys
from provision.workspace import Workspace


@dataclass(frozen=True)
class Context:
    """The lab, access to its machines and cluster, and the reporter.

    `force`: a node leaves though pods on it are lost, or a disruption budget is broken. `turn` is the worker
    that is made anew now, of those that are; empty for all of them.

    The values that `config` leaves open are decided where a lab is made, or was; see `software`.
    """

    config: ClusterConfig
    inventory: Inventory
    software: Callable[[], Software]
    workspace: Workspace
    acceleration: Acceleration
    provider: Provider
    machines: Machines
    report: Reporter
    connect: Callable[[Node], Runner]
    keep: Callable[[Runner], None]
    disconnect: Callable[[], None]
    snapshots: Callable[[threading.Event], SnapshotBackend]
    cancel: threading.Event = field(default_factory=threading.Event)
    pace: Pace = field(default_factory=Pace)
    force: bool = False
    turn: str = ""

    @property
    def clock(self) -> RealClock:
        return RealClock(self.cancel)

    @property
    def version(self) -> str:
        """Return the exact version of Kubernetes."""
        return self.software().version

    @property
    def cni(self) -> Cni:
        """Return the pod network."""
        return self.software().cni

    @property
    def recipe(self) -> BoxRecipe:
        """Return what the box is made of."""
        return self.software().recipe

    @property
    def decision(self) -> Decision:
        """Return what is kept of the software with the lab."""
        return self.software().decision

    def find_bundle(self) -> Bundle | None:
        """Return the bundle if it is there."""
        return self.software().find_bundle()

    def build_bundle(self) -> Bundle:
        """Return the bundle, made first where needed."""
        return self.software().build_bundle()

    @property
    def bundle(self) -> Bundle:
        """Return the bundle, which an earlier step has provided."""
        return self.find_bundle() or self.build_bundle()

    @property
    def site(self) -> Site:
        """Return what a CNI may know about the lab."""
        return Site(
            self.config,
            self.inventory,
            self.acceleration,
            self.version,
            files=lambda name: required_file(self.bundle, name),
        )

    @property
    def kubectl(self) -> Kubectl:
        """Return the bundle's kubectl with the lab's kubeconfig.

        Raises LabError when there is no bundle: a query must not start to build one; and when the kubeconfig
        is not the lab's own.
        """
        bundle = self.find_bundle()
        if bundle is None:
            raise LabError(
                f"kubectl is missing: the bundle of Kubernetes {self.version} is not in the cache",
                hint="kubelab up",
            )
        kubeconfig = checked(self.workspace.kubeconfig)
        program = bundle.root / "binaries" / "kubectl"
        network = self.config.network
        direct = (str(network.nodes), str(network.services))
        return Kubectl(program, kubeconfig, self.scaled(20), self.cancel, direct)

    @property
    def host_keys(self) -> HostKeys:
        """Return the recorded keys of the nodes."""
        return HostKeys(self.workspace, self.inventory, self.scaled, self.clock, self.cancel)

    def pin_host_keys(self) -> None:
        """Record missing host keys, and keep the connections that were opened for it.

        Raises ConnectFailed when another machine answers at a node's address.
        """
        for runner in self.host_keys.pin(self.machines.ids()):
            self.keep(runner)

    def scaled(self, seconds: float) -> float:
        """Return a deadline in seconds, multiplied where the machines are slow."""
        return seconds * self.acceleration.factor * self.pace.slowness

    def patience(self, seconds: float) -> Patience:
        """Return a Patience that retries passing failures for that long, multiplied as by `scaled`."""
        return Patience(self.scaled(seconds), self.clock, self.report)
