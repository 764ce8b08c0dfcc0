"""Choose where Kubernetes comes from."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from provision.artifacts import sites
from provision.artifacts.base import Artifacts, OtherWay
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
from provision.config.kubernetes_versions import wanted as wanted_version
from provision.engine.waiting import RealClock
from provision.errors import ConfigError, LabError

if TYPE_CHECKING:
    from provision.artifacts.plan import Planned
    from provision.artifacts.unavailable import Unavailable
    from provision.config.schema import ClusterConfig

NO_CNI_IN_SOURCE = (
    "set artifacts: release (or auto, or a mirror), or cni: bridge, which needs no extra files or images"
)


def choose(config: ClusterConfig, wanted: Wanted) -> Artifacts:
    """Return where the lab of `config` takes Kubernetes from, and with it what is `wanted` for its CNI.

    The network is asked only where no bundle is in the cache or given. What is built from source has
    nothing for a CNI. Raises ConfigError for a version that is not there or a CNI that cannot be had,
    BundleBroken for a folder without a bundle, FetchFailed.
    """
    version, where = wanted_version(config.kubernetes), config.artifacts
    if where.kind == "bundle":
        return given(Path(where.location), version)
    if where.kind == "source":
        if wanted and config.cni.name != "auto":
            raise ConfigError(
                f"{config.cni.name} needs files and images that artifacts: source does not have",
                key="cni",
                hint=NO_CNI_IN_SOURCE,
            )
        return Cached(source.resolve(version))
    if where.kind in {"release", "mirror"}:
        return Cached(release.choose(version, _sites(config), wanted))
    return _auto(config, wanted).choose()


def foresee(config: ClusterConfig, wanted: Wanted) -> tuple[Artifacts, list[Planned]]:
    """Return what `choose` would return if every site answered, and what it would ask; asks nobody."""
    version, where = wanted_version(config.kubernetes), config.artifacts
    if where.kind == "auto":
        auto = _auto(config, wanted)
        cached = auto.in_cache()
        if cached is not None:
            return cached, []
    elif where.kind not in {"release", "mirror"}:
        return choose(config, wanted), []
    origin, asked = release.foresee(version, _sites(config), wanted)
    return Cached(origin), asked


def _sites(config: ClusterConfig) -> sites.Sites:
    where = config.artifacts
    if where.kind != "mirror":
        return sites.PUBLIC
    return sites.Sites(where.location, dict(where.images), Path(where.ca) if where.ca else None)


def _auto(config: ClusterConfig, wanted: Wanted) -> _Auto:
    return _Auto(
        wanted_version(config.kubernetes), wanted, can_do_without=not wanted or config.cni.name == "auto"
    )


@dataclass(frozen=True)
class _Auto:
    """What `artifacts: auto` means: `version` as lab.yaml has it, and what the best CNI wants.

    `can_do_without` says that a bundle without a CNI will do: lab.yaml leaves the CNI open, or needs none.
    """

    version: str
    wanted: Wanted
    can_do_without: bool

    def choose(self) -> Cached:
        return self.in_cache() or self._by_the_network()

    def in_cache(self) -> Cached | None:
        """Return the newest bundle of the version in the cache, whether released or built from source."""
        found: list[Cached] = []
        if self.can_do_without:
            with contextlib.suppress(ConfigError):
                built = Cached(source.resolve(self.version))
                found += [built] if built.find() else []
        for content in (self.wanted, NOTHING) if self.can_do_without else (self.wanted,):
            released = release.find(self.version, sites.PUBLIC, content)
            found += [self._released(released)] if released else []
        return max(found, key=lambda cached: numbers(cached.kubernetes), default=None)

    def _by_the_network(self) -> Cached:
        """Return the release if its site answers soon, and else the source, unless that lacks the CNI."""
        site = sites.PUBLIC
        web = Web(RealClock(), patience=Patience(attempts=1, stall=ANSWER_WITHIN))
        try:
            exact = within(ANSWER_WITHIN, lambda: versions.resolve(self.version, site, web), site.name)
        except LabError as error:
            if not self.can_do_without:
                error.hint = f"{error.hint}; {release.NO_CNI}" if error.hint else release.NO_CNI
                raise
            unreleased = error
        else:
            found = release.Release(exact, site, self.wanted)
            return self._released(found, f"{NOT_CACHED}, {site.name} answers")
        try:
            return Cached(source.resolve(self.version), f"{NOT_CACHED}, and {_without_key(unreleased)}")
        except ConfigError as built:
            hints = "; ".join(hint for hint in (unreleased.hint, built.hint) if hint)
            message = f"{_without_key(built)}, and {_without_key(unreleased)}"
            raise ConfigError(message, key=built.key, hint=hints) from None

    def _released(self, origin: release.Release, why: str = NOT_CACHED) -> Cached:
        return Cached(origin, why, lambda error: self._instead_of(origin, error))

    def _instead_of(self, origin: release.Release, error: Unavailable) -> OtherWay | None:
        """Return the next way after a site did not give its part of `origin`."""
        if not self.can_do_without:
            return None
        if error.of_cni:
            without = replace(origin, wanted=NOTHING, after=origin.key)
            return OtherWay(self._released(without), "with cni: bridge")
        if shutil.which("go") is None:
            return None
        try:
            built = source.resolve(self.version)
        except ConfigError:
            return None
        how = f"with Kubernetes {built.kubernetes} from source" + (
            " and cni: bridge" if origin.wanted else ""
        )
        return OtherWay(Cached(built, error.message), how)


def _without_key(error: LabError) -> str:
    return error.message.removeprefix(f"{error.key}: " if isinstance(error, ConfigError) else "")
