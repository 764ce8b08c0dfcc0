"""Choose where Kubernetes comes from, and find its bundle or make it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import filelock

from provision.artifacts import source
from provision.artifacts.bundle import Bundle, BundleBroken
from provision.errors import Cancelled, ConfigError, MissingTool
from provision.workspace import cache_dir

if TYPE_CHECKING:
    import threading

    from provision.config import ClusterConfig
    from provision.report import Reporter

LOCK_POLL = 0.5


class Artifacts(Protocol):
    """Where one version of Kubernetes comes from; `key` stands for everything that goes into its bundle."""

    @property
    def kubernetes(self) -> str:
        """Return the exact version, such as "1.36.3"."""

    @property
    def key(self) -> str:
        """Return the digest that names the bundle; known before it is built."""

    def find(self) -> Bundle | None:
        """Return the bundle if it is there with every file's size right, else None; builds nothing."""

    def build(self, reporter: Reporter, cancel: threading.Event | None = None) -> Bundle:
        """Return the bundle with every file's digest checked, making it first where needed."""


def choose(config: ClusterConfig) -> Artifacts:
    """Return where the lab of `config` takes Kubernetes from.

    Raises ConfigError for a version or a kind that is not there, BundleBroken for a folder without a bundle.
    """
    kind, location = config.artifacts.kind, config.artifacts.location
    if kind == "bundle":
        return given(Path(location), config.kubernetes)
    if kind in {"auto", "source"}:
        return FromSource(source.resolve(config.kubernetes))
    hint = "use auto, source or {bundle: FOLDER}"
    raise ConfigError(f"{kind} is not there yet", key="artifacts", hint=hint)


def given(root: Path, kubernetes: str) -> GivenBundle:
    """Open the user's own bundle at `root`; raises ConfigError unless it holds the version `kubernetes`."""
    bundle = Bundle.open(root)
    wanted = kubernetes.removeprefix("v")
    if wanted != bundle.kubernetes and not bundle.kubernetes.startswith(f"{wanted}."):
        raise ConfigError(
            f"the bundle {root} holds Kubernetes {bundle.kubernetes}, the lab asks for {wanted}",
            key="artifacts.bundle",
            hint=f'set in lab.yaml kubernetes: "{bundle.kubernetes}", or give another bundle',
        )
    return GivenBundle(bundle)


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

    def find(self) -> Bundle | None:
        return self.bundle

    def build(self, reporter: Reporter, cancel: threading.Event | None = None) -> Bundle:
        reporter.progress(f"checking the bundle {self.bundle.root}")
        self.bundle.verify()
        return self.bundle


@dataclass(frozen=True)
class FromSource:
    """A bundle in the cache, built from Go modules when it is not there."""

    source: source.Source

    @property
    def kubernetes(self) -> str:
        return self.source.kubernetes

    @property
    def key(self) -> str:
        return self.source.key

    @property
    def root(self) -> Path:
        """Return the bundle's place in the cache."""
        return cache_dir() / "bundles" / self.key

    def find(self) -> Bundle | None:
        if not self.root.is_dir():
            return None
        with contextlib.suppress(BundleBroken):
            return Bundle.open(self.root)
        return None

    def build(self, reporter: Reporter, cancel: threading.Event | None = None) -> Bundle:
        with _lock(self.root.with_name(f"{self.key}.lock"), reporter, cancel):
            if self.root.is_dir():
                reporter.progress(f"checking the bundle of Kubernetes {self.kubernetes} in the cache")
                try:
                    bundle = Bundle.open(self.root)
                    bundle.verify()
                except BundleBroken as broken:
                    reporter.warn(f"{broken.message}; it is made again")
                    shutil.rmtree(self.root)
                else:
                    return bundle
            return _make(self.source, self.root, reporter, cancel)


def _make(found: source.Source, place: Path, reporter: Reporter, cancel: threading.Event | None) -> Bundle:
    """Build a bundle beside its place and move it there whole; whatever goes wrong, nothing half is left."""
    if shutil.which("go") is None:
        raise MissingTool(
            f"Kubernetes {found.kubernetes} is not in the cache, and without Go it cannot be built",
            hint="kubelab doctor --fix",
        )
    source.check_space(place.parent)
    reporter.info(f"building Kubernetes {found.kubernetes} from source: the cache has no bundle of it")
    temporary = place.with_name(f".{place.name}.new")
    try:
        # A process that was killed could not remove its own.
        if temporary.exists():
            shutil.rmtree(temporary)
        root, work = temporary / "bundle", temporary / "work"
        root.mkdir(parents=True)
        work.mkdir()
        source.build(found, root, work, reporter, cancel)
        root.rename(place)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Bundle.open(place)


@contextlib.contextmanager
def _lock(path: Path, reporter: Reporter, cancel: threading.Event | None) -> Iterator[None]:
    """Let one process at a time make a bundle; the others wait and then find it made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path)
    while True:
        try:
            lock.acquire(timeout=LOCK_POLL)
            break
        except filelock.Timeout:
            reporter.progress("another kubelab makes this bundle: waiting for it")
            if cancel is not None and cancel.is_set():
                raise Cancelled("waiting for the bundle was given up") from None
    try:
        yield
    finally:
        lock.release()
