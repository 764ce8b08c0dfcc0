"""Where files and images come from: the public sites, or a mirror laid out as they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from provision.config.artifacts import EVERY_REGISTRY

KUBERNETES = "https://dl.k8s.io/release"
CNI_PLUGINS = "https://github.com/containernetworking/plugins/releases/download"
CRI_TOOLS = "https://github.com/kubernetes-sigs/cri-tools/releases/download"
# Where a reference without a registry lies.
DOCKER = "docker.io"
_SCHEME = re.compile(r"(https?)://")


@dataclass(frozen=True)
class Sites:
    """Where a lab's files and images are taken from; the default is the public sites themselves.

    Below the URL `files` a mirror has a folder for each public host: FILES/dl.k8s.io/release/...
    `images` maps a registry (EVERY_REGISTRY: all others) to what stands in its place, such as
    "registry.test:5000/k8s"; "http://" before it means a registry without TLS. `ca` is a file with
    the certificates of an authority that is trusted beside the host's own.
    """

    files: str = ""
    images: Mapping[str, str] = field(default_factory=dict)
    ca: Path | None = None

    @property
    def is_mirror(self) -> bool:
        return bool(self.files or self.images)

    @property
    def name(self) -> str:
        """Return what a user calls the place that Kubernetes' programs come from."""
        return self.files or str(urlsplit(KUBERNETES).hostname)

    @property
    def words(self) -> tuple[str, ...]:
        """Return a text for every address here: for the key of a bundle."""
        return (f"files {self.files}", *(f"images {old} {new}" for old, new in sorted(self.images.items())))

    def url(self, public: str) -> str:
        """Return where the file at the URL `public` is taken from."""
        return f"{self.files}/{_SCHEME.sub('', public, count=1)}" if self.files else public

    def image(self, ref: str) -> tuple[str, bool]:
        """Return where the image `ref` is taken from, and whether that registry speaks TLS."""
        registry, path = split_registry(ref)
        prefix = self.images.get(registry, self.images.get(EVERY_REGISTRY, registry))
        scheme = _SCHEME.match(prefix)
        return f"{_SCHEME.sub('', prefix, count=1)}/{path}", scheme is None or scheme[1] == "https"


def split_registry(ref: str) -> tuple[str, str]:
    """Return the registry of an image's reference, and the rest: "a:1" -> docker.io, library/a:1."""
    first, slash, rest = ref.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return first, rest
    return DOCKER, ref if slash else f"library/{ref}"


PUBLIC = Sites()
