"""The bundles in the cache: each made once, whole or not at all, under the digest of what goes into it."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import filelock

from provision.artifacts.bundle import Bundle, BundleBroken, bundles_dir
from provision.engine.waiting import Within
from provision.errors import Cancelled

if TYPE_CHECKING:
    from provision.artifacts.base import OtherWay
    from provision.artifacts.plan import Planned
    from provision.artifacts.unavailable import Unavailable
    from provision.artifacts.wanted import Wanted
    from provision.report.base import Reporter

LOCK_POLL = 0.5
NOT_CACHED = "the cache has no bundle of it"


class Origin(Protocol):
    """What makes a bundle of one version of Kubernetes; `key` stands for everything that goes into it."""

    @property
    def kubernetes(self) -> str:
        """Return the exact version."""

    @property
    def key(self) -> str:
        """Return the digest that names the bundle."""

    @property
    def wanted(self) -> Wanted:
        """Return what the bundle holds beside Kubernetes itself."""

    @property
    def kind(self) -> str:
        """Return what lab.yaml calls it."""

    @property
    def title(self) -> str:
        """Return what making it is called, such as "building Kubernetes 1.36.3 from source"."""

    def plan(self) -> list[Planned]:
        """Return what `make` would fetch, as far as it is known before; asks nobody."""

    def check(self, folder: Path, why: str) -> None:
        """Raise LabError if the bundle cannot be made in `folder`; `why` is why this origin was taken."""

    def make(self, root: Path, work: Path, reporter: Reporter, cancel: threading.Event) -> None:
        """Make the bundle in the empty folder `root`, with `work` for what is in between."""


@dataclass(frozen=True)
class Cached:
    """A bundle in the cache, made by `origin` when it is not there; `why` says why by that one.

    `next_way` answers `otherwise`.
    """

    origin: Origin
    why: str = NOT_CACHED
    next_way: Callable[[Unavailable], OtherWay | None] = field(default=lambda error: None, compare=False)

    @property
    def kubernetes(self) -> str:
        return self.origin.kubernetes

    @property
    def key(self) -> str:
        return self.origin.key

    @property
    def kind(self) -> str:
        return self.origin.kind

    @property
    def root(self) -> Path:
        """Return the bundle's place in the cache."""
        return bundles_dir() / self.key

    def has(self, wanted: Wanted) -> bool:
        """Return whether the bundle holds all that is wanted, or will once it is made."""
        return wanted <= self.origin.wanted

    def plan(self) -> list[Planned]:
        return [] if self.find() is not None else self.origin.plan()

    def otherwise(self, error: Unavailable) -> OtherWay | None:
        return self.next_way(error)

    def find(self) -> Bundle | None:
        """Return the bundle if it is there with every file's size right, else None."""
        return find_at(self.root)

    def build(self, reporter: Reporter, cancel: threading.Event | None = None) -> Bundle:
        """Return the bundle with every file's digest checked, making it first where needed."""
        what = f"the bundle of Kubernetes {self.kubernetes}"
        return made_once(self.root, what, self._make, reporter, cancel)

    def _make(self, root: Path, work: Path, reporter: Reporter, cancel: threading.Event) -> None:
        self.origin.check(self.root.parent, self.why)
        reporter.info(f"{self.origin.title}: {self.why}")
        self.origin.make(root, work, reporter, cancel)


# Makes a bundle in an empty folder, with a second one for what is in between.
Make = Callable[[Path, Path, "Reporter", threading.Event], None]


def find_at(root: Path) -> Bundle | None:
    """Return the bundle in a folder if it is there with every file's size right, else None."""
    if not root.is_dir():
        return None
    with contextlib.suppress(BundleBroken):
        return Bundle.open(root)
    return None


def made_once(
    root: Path, what: str, make: Make, reporter: Reporter, cancel: threading.Event | None = None
) -> Bundle:
    """Return the bundle at `root` with every file's digest checked; it is made first where needed.

    One process at a time makes it; the others wait. Raises what `make` does.
    """
    with _lock(root.with_name(f"{root.name}.lock"), reporter, cancel):
        if root.is_dir():
            reporter.progress(f"checking {what} in the cache")
            try:
                bundle = Bundle.open(root)
                bundle.verify()
            except BundleBroken as broken:
                reporter.warn(f"{broken.message}; it is made again")
                shutil.rmtree(root)
            else:
                return bundle
        # What fails here ends its own threads, and no other work.
        _make_whole(root, make, reporter, Within(cancel or threading.Event()))
        return Bundle.open(root)


def _make_whole(final: Path, make: Make, reporter: Reporter, cancel: threading.Event) -> None:
    """Make a bundle beside its place and move it there whole; whatever goes wrong, no half is left."""
    temporary = final.with_name(f".{final.name}.new")
    try:
        # A process that was killed could not remove its own.
        if temporary.exists():
            shutil.rmtree(temporary)
        root, work = temporary / "bundle", temporary / "work"
        root.mkdir(parents=True)
        work.mkdir()
        make(root, work, reporter, cancel)
        root.rename(final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


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
            reporter.progress("another kubelab process is making this bundle; waiting for it")
            if cancel is not None and cancel.is_set():
                raise Cancelled("waiting for the bundle was given up") from None
    try:
        yield
    finally:
        lock.release()
