"""A CNI of the user's own: their manifest, applied as it is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from provision.artifacts.wanted import Wanted, WantedFile
from provision.cni.base import Files, Site
from provision.cni.documents import Document, always_pulled, full_reference, images_of, one_per_tag
from provision.cni.manifest import ManifestCni
from provision.config.kubernetes_versions import MINORS
from provision.config.values import is_url
from provision.errors import ConfigError

# In every bundle, whatever it is made from: they are fetched from nowhere.
EVERYWHERE = {"docker.io/library/busybox:1.37"} | {minor.images[-1] for minor in MINORS.values()}


class Custom(ManifestCni):
    """The objects of a file beside lab.yaml, or of a URL whose file is in the bundle."""

    validate = True

    @property
    def is_local(self) -> bool:
        """Return whether the manifest is a file on this host."""
        return not is_url(self.settings.manifest)

    def file(self) -> WantedFile:
        """Return the manifest of a URL."""
        suffix = hashlib.sha256(self.settings.manifest.encode()).hexdigest()[:8]
        return WantedFile(self.settings.manifest, f"{self.name}-{suffix}.yaml", self.sha256)

    def wanted(self) -> Wanted:
        """Return the images that not every bundle has anyway, and the file unless it is on this host."""
        if self.is_local:
            return Wanted(images=self.images(self._local))
        return Wanted(images=_special(self._named()), files=(self.file(),))

    def images(self, files: Files) -> tuple[str, ...]:
        """Return the images of its pods and those that lab.yaml names, but for what every bundle has."""
        return _special(self.required(files))

    def required(self, files: Files) -> tuple[str, ...]:
        """Return the images of the manifest's pods, and those that lab.yaml names beside it."""
        return one_per_tag(images_of(self.read(files)) | self._named())

    def read(self, files: Files, site: Site | None = None) -> list[Document]:
        """Return the user's objects; raises ConfigError, also for images that nodes would not find."""
        documents = super().read(self._local if self.is_local else files, site)
        pinned = sorted(image for image in images_of(documents) if "@" in image)
        if pinned:
            raise ConfigError(
                f"{self.settings.manifest} asks for images by digest, and nodes have images by name and tag"
                f" only: {', '.join(pinned)}",
                key=self._key,
                hint="write NAME:TAG there; its digest can stand in cni.images, as NAME:TAG@sha256:...",
            )
        pulled = sorted(always_pulled(documents))
        if pulled:
            raise ConfigError(
                f"{self.settings.manifest} makes nodes pull images at every start, and they download nothing:"
                f" {', '.join(pulled)}",
                key=self._key,
                hint="set there imagePullPolicy: IfNotPresent, which is the default of every tag but latest",
            )
        return documents

    def documents(self, site: Site, published: Sequence[Document]) -> list[Document]:
        """Return the objects as they are."""
        return list(published)

    def digest(self) -> str:
        """Return the digest of a local manifest: changed, it is applied again."""
        if not self.is_local:
            return hashlib.sha256(self.settings.manifest.encode()).hexdigest()
        path = Path(self.settings.manifest)
        try:
            return hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}", key=self._key) from error

    def _named(self) -> set[str]:
        return {full_reference(image) for image in self.settings.images}

    def _local(self, name: str) -> Path:
        path = Path(self.settings.manifest)
        if not path.is_file():
            raise ConfigError(
                f"there is no file {path}", key=self._key, hint="its path is relative to lab.yaml"
            )
        return path

    @property
    def _key(self) -> str:
        return "cni.manifest"

    def _hint(self, there: set[str]) -> str:
        return (
            f"use images that are there ({', '.join(sorted(there))}), or make a bundle with yours:"
            " kubelab bundle create with artifacts: release or {mirror: URL}"
        )


def _special(images: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(images) - EVERYWHERE))
