"""What every CNI gives, and what it is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from provision.artifacts.bundle import Bundle
from provision.artifacts.wanted import Wanted
from provision.cluster.kubectl import Kubectl
from provision.config.inventory import Inventory, Node
from provision.config.schema import ClusterConfig
from provision.host.facts import Acceleration

# Gives the place of a file that `wanted` names.
Files = Callable[[str], Path]


@dataclass(frozen=True)
class Site:
    """The lab as a CNI sees it; `files` are those of its bundle, `kubernetes` the exact version."""

    config: ClusterConfig
    inventory: Inventory
    acceleration: Acceleration
    kubernetes: str
    files: Files


class Cni(Protocol):
    """A pod network.

    `enforces_policies` says whether it acts on a NetworkPolicy; `settle_seconds` is what its pods need on a
    machine that is not emulated, beyond what a cluster needs anyway.
    """

    name: str
    enforces_policies: bool
    settle_seconds: float

    def wanted(self) -> Wanted:
        """Return what the bundle must hold for it, as far as it is known before any of it is there."""

    def images(self, files: Files) -> tuple[str, ...]:
        """Return the references of all its images, read from the wanted files once they are there."""

    def check(self, bundle: Bundle) -> None:
        """Raise ConfigError, naming the key, if `bundle` lacks a file or an image of it."""

    def node_files(self, config: ClusterConfig, inventory: Inventory, node: Node) -> Mapping[str, str]:
        """Return path -> content of the files a node needs before it joins."""

    def is_installed(self, kubectl: Kubectl, site: Site) -> bool:
        """Return whether the cluster has everything this CNI puts into it."""

    def install(self, kubectl: Kubectl, site: Site) -> None:
        """Put it there."""


class BuiltIn:
    """What the CNIs have in common that need nothing of the bundle."""

    enforces_policies = False
    settle_seconds = 0.0

    def wanted(self) -> Wanted:
        """Return nothing."""
        return Wanted()

    def images(self, files: Files) -> tuple[str, ...]:
        """Return none."""
        return ()

    def check(self, bundle: Bundle) -> None:
        """Find nothing missing."""
