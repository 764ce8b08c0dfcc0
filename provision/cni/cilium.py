"""Cilium, rendered from its Helm chart on the host."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import yaml

from provision.artifacts.wanted import WantedFile
from provision.cni.base import Files, Site
from provision.cni.documents import Document, changeable, parse, slow_probes, without_digests
from provision.cni.manifest import ManifestCni
from provision.config.addresses import API_PORT
from provision.errors import ConfigError, MissingTool
from provision.host.process import run_tool

URL = "https://helm.cilium.io/cilium-{version}.tgz"
RENDER_DEADLINE = 120.0
NO_HELM = "install Helm (https://helm.sh/docs/intro/install), or use another cni"
# Hubble makes new certificates at each rendering, and an Envoy of its own is a pod more on every node.
VALUES: dict[str, Any] = {
    "ipam": {"mode": "kubernetes"},
    "operator": {"replicas": 1},
    "image": {"pullPolicy": "IfNotPresent"},
    "envoy": {"enabled": False},
    "hubble": {"enabled": False},
    "kubeProxyReplacement": False,
}


class Cilium(ManifestCni):
    """Cilium with one range a node, beside kube-proxy or in its place."""

    default_version = "1.20.0"
    checksums: ClassVar[Mapping[str, str]] = {
        "v1.20.0": "c5f013912360d1a334f44ef25f36da59ba3414cdb48f466ee12d0c4fdff27883",
    }
    enforces_policies = True
    known_images: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "v1.20.0": ("quay.io/cilium/cilium:v1.20.0", "quay.io/cilium/operator-generic:v1.20.0"),
    }
    settle_seconds = 90.0

    def file(self) -> WantedFile:
        """Return the chart."""
        number = self.version.removeprefix("v")
        return WantedFile(URL.format(version=number), f"cilium-{number}.tgz", self.sha256)

    def values(self, site: Site | None) -> dict[str, Any]:
        """Return the chart's values: ours, and over them the user's."""
        values = copy.deepcopy(VALUES)
        if site is not None and self.settings.replaces_kube_proxy:
            # The address of the API server's service is what Cilium is about to make.
            values |= {"k8sServiceHost": site.inventory.first.ip, "k8sServicePort": API_PORT}
        return _merged(values, self.settings.values)

    def read(self, files: Files, site: Site | None = None) -> list[Document]:
        """Return the rendered objects; raises MissingTool without Helm, ToolFailed, ConfigError."""
        if shutil.which("helm") is None:
            raise MissingTool("Cilium is rendered by `helm`, which is not installed", hint=NO_HELM)
        chart = files(self.file().name)
        argv = ["helm", "template", "cilium", str(chart), "--namespace=kube-system", "--values=-"]
        if site is not None:
            argv.append(f"--kube-version={site.kubernetes}")
        values = yaml.safe_dump(self.values(site))
        text = run_tool(argv, deadline=RENDER_DEADLINE, stdin=values, hint="look at cni.values in lab.yaml")
        try:
            return parse(text)
        except ValueError as error:
            raise ConfigError(f"{chart} renders to no objects: {error}", key="cni") from error

    def documents(self, site: Site, published: Sequence[Document]) -> list[Document]:
        """Return the rendered objects: images by tag, more time for probes where machines are emulated."""
        documents = changeable(published)
        without_digests(documents)
        slow_probes(documents, site.acceleration.factor)
        return documents


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return both mappings as one, key by key down to the leaves; `over` wins."""
    result = dict(under)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = _merged(result[key], value) if both else value
    return result
