"""What every add-on gives, and what it is given."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import yaml

from provision.artifacts.source.programs import Programs
from provision.cluster.health import Object
from provision.cluster.kubectl import Kubectl
from provision.config.inventory import Inventory
from provision.config.loader import Loader
from provision.config.schema import ClusterConfig
from provision.host.facts import Acceleration
from provision.templates import environment

# On every object of an add-on: its name.
LABEL = "kubelab/addon"
WORKLOADS = ("DaemonSet", "Deployment")


@dataclass(frozen=True)
class Site:
    """The lab as an add-on sees it.

    `images` maps each of its programs to the reference of its image; `busybox` is an image with a shell.
    """

    config: ClusterConfig
    inventory: Inventory
    acceleration: Acceleration
    images: Mapping[str, str]
    busybox: str

    def scaled(self, seconds: int) -> int:
        """Return whole seconds, more where the machines are emulated."""
        return int(seconds * self.acceleration.factor)


class Addon(Protocol):
    """Something that is put into the cluster, and taken out again.

    `title` says what it is for. With `signed_kubelets` the kubelets need serving certificates that the
    cluster's authority signed.
    """

    name: str
    title: str
    signed_kubelets: bool

    def programs(self) -> Programs:
        """Return what its images are built from."""

    def check(self, config: ClusterConfig) -> None:
        """Raise ConfigError, with the key `addons`, where a lab of this lab.yaml cannot have it."""

    def documents(self, site: Site) -> list[Object]:
        """Return its objects for this lab; the same for the same lab."""

    def prepare(self, kubectl: Kubectl, documents: Sequence[Object]) -> list[Object]:
        """Return the objects with what only the cluster knows, such as a key that is kept there."""

    def missing(self, kubectl: Kubectl) -> list[str]:
        """Return what it lacks to be of use, beside Ready pods."""

    def users(self, kubectl: Kubectl) -> list[str]:
        """Return what in the cluster would lose its data without it."""

    def leave(self, kubectl: Kubectl) -> None:
        """Tidy up what it wrote into objects of others, once its own are gone."""


class Plain:
    """What the add-ons have in common whose objects are one template, and that need nothing else."""

    name: ClassVar[str]
    signed_kubelets = False

    def check(self, config: ClusterConfig) -> None:
        """Accept every lab."""

    def documents(self, site: Site) -> list[Object]:
        """Return the objects of the template that is called after the add-on."""
        return self.render(site)

    def prepare(self, kubectl: Kubectl, documents: Sequence[Object]) -> list[Object]:
        """Return the objects as they are."""
        return list(documents)

    def missing(self, kubectl: Kubectl) -> list[str]:
        """Return nothing: it is of use as soon as its pods are Ready."""
        return []

    def users(self, kubectl: Kubectl) -> list[str]:
        """Return nothing: no data is lost without it."""
        return []

    def leave(self, kubectl: Kubectl) -> None:
        """Leave nothing behind."""

    def render(self, site: Site, **values: object) -> list[Object]:
        """Return the objects of its template, each with the label of the add-on."""
        template = environment().get_template(f"templates/addons/{self.name}.yaml.j2")
        text = template.render(site=site, **values)
        documents = [document for document in yaml.load_all(text, Loader) if document is not None]
        for document in documents:
            document["metadata"].setdefault("labels", {})[LABEL] = self.name
        return documents


def workloads_of(documents: Iterable[Object]) -> tuple[str, ...]:
    """Return "namespace/kind/name" of the workloads among `documents`, sorted."""
    return tuple(
        sorted(
            f"{item['metadata']['namespace']}/{item['kind']}/{item['metadata']['name']}"
            for item in documents
            if item["kind"] in WORKLOADS
        )
    )


def digest_of(documents: Sequence[Object]) -> str:
    """Return what tells these objects from others."""
    return hashlib.sha256(json.dumps(documents, sort_keys=True).encode()).hexdigest()
