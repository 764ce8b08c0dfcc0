"""Choose where Kubernetes comes from."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from provision.artifacts import sites
from provision.artifacts.bundle import Bundle
from provision.artifacts.cache import NOT_CACHED, Cached
from provision.artifacts.given import given
from provision.artifacts.release import origin as release
from provision.artifacts.release import versions
from provision.artifacts.source import origin as source
from provision.artifacts.wanted import NOTHING, Wanted
from provision.artifacts.web.client import Web
from provision.artifacts.web.retry import Patience
from provision.artifacts.web.time_limit import ANSWER_WITHIN, within
from provision.config.kubernetes_versions import numbers
from provision.engine.waiting import RealClock
from provision.errors import ConfigError, LabError

if TYPE_CHECKING:
    import threading

    from provision.config.schema import ClusterConfig
    from provision.report.base import Reporter


class Artifacts(Protocol):
    """Where one version of Kubernetes comes from; `key` stands for everything that goes into its bundle."""

    @property
    def kubernetes(self) -> str:
        """Return the exact version, such as "1.36.3"."""

    @property
    def key(self) -> str:
        """Return the digest that names the bundle; known before it is built."""

    def has(self, wanted: Wanted) -> bool:
        """Return whether its bundle holds all that is wanted, or will once it is built."""

    def find(self) -> Bundle | None:
        """Return the bundle if it is there with every file's size right, else None; builds nothing."""

    def build(self, reporter: Reporter, cancel: threading.Event | None = None) -> Bundle:
        """Return the bundle with every file's digest checked, making it first where needed."""


def choose(config: ClusterConfig, wanted: Wanted) -> Artifacts:
    """Return where the lab of `config` takes Kubernetes from, and with it what is `wanted` for its CNI.

    The network is asked only where no bundle is in the cache or given. What is built from source has
    nothing for a CNI. Raises ConfigError for a version that is not there, BundleBroken for a folder
    without a bundle, FetchFailed.
    """
    version, where = config.kubernetes, config.artifacts
    if where.kind == "bundle":
        return given(Path(where.location), version)
    if where.kind == "source":
        return Cached(source.resolve(version))
    if where.kind == "release":
        return Cached(release.choose(version, sites.PUBLIC, wanted))
    if where.kind == "mirror":
        ca = Path(where.ca) if where.ca else None
        return Cached(release.choose(version, sites.Sites(where.location, dict(where.images), ca), wanted))
    can_do_without = not wanted or config.cni.name == "auto"
    return _in_cache(version, wanted, can_do_without) or _by_the_network(version, wanted)


def builder_of(config: ClusterConfig, wanted: Wanted) -> str:
    """Return the program that the lab's bundle is still to be made with: "skopeo", "go", or none of them."""
    try:
        artifacts = choose(config, wanted)
    except LabError:
        return "skopeo" if config.artifacts.kind in {"release", "mirror"} else ""
    if not isinstance(artifacts, Cached) or artifacts.find() is not None:
        return ""
    return "skopeo" if isinstance(artifacts.origin, release.Release) else "go"


def _in_cache(version: str, wanted: Wanted, can_do_without: bool) -> Cached | None:
    """Return the newest bundle of `version` in the cache, whether released or built from source."""
    found: list[Cached] = []
    if can_do_without:
        with contextlib.suppress(ConfigError):
            built = Cached(source.resolve(version))
            found += [built] if built.find() else []
    for content in (wanted, NOTHING) if can_do_without else (wanted,):
        released = release.find(version, sites.PUBLIC, content)
        found += [Cached(released)] if released else []
    return max(found, key=lambda cached: numbers(cached.kubernetes), default=None)


def _by_the_network(version: str, wanted: Wanted) -> Cached:
    """Return the release if its site answers soon, and else the source."""
    site = sites.PUBLIC
    web = Web(RealClock(), patience=Patience(attempts=1, stall=ANSWER_WITHIN))
    try:
        exact = within(ANSWER_WITHIN, lambda: versions.resolve(version, site, web), site.name)
    except LabError as error:
        released = error
    else:
        answers = f"{NOT_CACHED}, {site.name} answers"
        return Cached(release.Release(exact, site, wanted), answers)
    try:
        return Cached(source.resolve(version), f"{NOT_CACHED}, and {_without_key(released)}")
    except ConfigError as built:
        hints = "; ".join(hint for hint in (released.hint, built.hint) if hint)
        message = f"{_without_key(built)}, and {_without_key(released)}"
        raise ConfigError(message, key=built.key, hint=hints) from None


def _without_key(error: LabError) -> str:
    return error.message.removeprefix(f"{error.key}: " if isinstance(error, ConfigError) else "")
