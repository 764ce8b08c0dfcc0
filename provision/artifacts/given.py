"""A bundle that the user gives."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from provision.artifacts.bundle import Bundle, BundleBroken, bundles_dir
from provision.errors import ConfigError

if TYPE_CHECKING:
    import threading

    from provision.artifacts.base import OtherWay
    from provision.artifacts.plan import Planned
    from provision.artifacts.unavailable import Unavailable
    from provision.artifacts.wanted import Wanted
    from provision.report.base import Reporter


@dataclass(frozen=True)
class GivenBundle:
    """A bundle that the user made or copied: used where it lies, never changed."""

    bundle: Bundle

    @property
    def kubernetes(self) -> str:
        return self.bundle.kubernetes

    @property
    def key(self) -> str:
        return self.bundle.digest

    @property
    def kind(self) -> str:
        return "bundle"

    def plan(self) -> list[Planned]:
        """Return nothing: it is all there."""
        return []

    def otherwise(self, error: Unavailable) -> OtherWay | None:
        """Return None: this one was given."""
        return None

    def has(self, wanted: Wanted) -> bool:
        """Return whether the bundle holds all that is wanted."""
        files = {PurePosixPath(entry.path).name for entry in self.bundle.manifests()}
        return all(map(self.bundle.has_image, wanted.images)) and files.issuperset(
            file.name for file in wanted.files
        )

    def find(self) -> Bundle | None:
        """Return the bundle."""
        return self.bundle

    def build(self, reporter: Reporter, cancel: threading.Event | None = None) -> Bundle:
        """Return the bundle, with every file's digest checked."""
        reporter.progress(f"checking the bundle {self.bundle.root}")
        self.bundle.verify()
        return self.bundle


@dataclass(frozen=True)
class KeptBundle(GivenBundle):
    """A bundle in the cache that a lab was made with, whatever would be chosen or made now."""

    @property
    def key(self) -> str:
        return self.bundle.recipe

    @property
    def kind(self) -> str:
        return self.bundle.source.partition(" ")[0]


def kept_bundle(key: str) -> KeptBundle | None:
    """Return the bundle of that key in the cache, None if it is not there or not whole."""
    with contextlib.suppress(BundleBroken):
        return KeptBundle(Bundle.open(bundles_dir() / key))
    return None


def given(root: Path, kubernetes: str) -> GivenBundle:
    """Open the user's own bundle at `root`; raises ConfigError unless it holds the version `kubernetes`."""
    bundle = Bundle.open(root)
    version = kubernetes.removeprefix("v")
    if version != bundle.kubernetes and not bundle.kubernetes.startswith(f"{version}."):
        raise ConfigError(
            f"the bundle {root} holds Kubernetes {bundle.kubernetes}, the lab asks for {version}",
            key="artifacts.bundle",
            hint=f'set in lab.yaml kubernetes: "{bundle.kubernetes}", or give another bundle',
        )
    return GivenBundle(bundle)
