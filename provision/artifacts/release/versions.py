"""Which versions of Kubernetes a site has."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

from provision.artifacts import sites as addresses
from provision.artifacts.web.client import is_missing
from provision.artifacts.web.errors import FetchFailed
from provision.errors import ConfigError, LabError

if TYPE_CHECKING:
    from provision.artifacts.sites import Sites
    from provision.artifacts.web.client import Web

_EXACT = re.compile(r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,4}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
PLATFORM = "bin/linux/amd64"


def is_exact(version: str) -> bool:
    """Return whether `version` has a patch number."""
    return _EXACT.fullmatch(version) is not None


def program_url(sites: Sites, kubernetes: str, name: str) -> str:
    """Return where a program of an exact version lies."""
    return sites.url(f"{addresses.KUBERNETES}/v{kubernetes}/{PLATFORM}/{name}")


def resolve(wanted: str, sites: Sites, web: Web) -> str:
    """Return the exact version for `wanted`: the newest patch of a minor, or itself if it is there.

    Raises ConfigError naming the versions near it, FetchFailed.
    """
    try:
        if is_exact(wanted):
            checksum(program_url(sites, wanted, "kubeadm"), web)
            return wanted
        return _newest(wanted, sites, web)
    except FetchFailed as error:
        if is_missing(error):
            raise unknown(wanted, sites, web) from None
        raise


def unknown(wanted: str, sites: Sites, web: Web) -> ConfigError:
    """Return the error for a version that is not there, with the newest patch of every minor that is."""
    from provision.config.values import SUPPORTED_MINORS

    near = []
    for minor in SUPPORTED_MINORS:
        with contextlib.suppress(LabError):
            near.append(_newest(minor, sites, web))
    hint = f"the newest patches there: {', '.join(near)}" if near else ""
    return ConfigError(f"{sites.name} has no Kubernetes {wanted}", key="kubernetes", hint=hint)


def checksum(url: str, web: Web) -> str:
    """Return the sha256 that is published beside the file at `url`; raises FetchFailed."""
    words = web.text(f"{url}.sha256").split()
    if not words or not _SHA256.fullmatch(words[0]):
        raise FetchFailed(f"{url}.sha256 holds no sha256: see what the server answers")
    return words[0]


def newest_url(minor: str, sites: Sites) -> str:
    """Return where it stands which patch of a minor is the newest."""
    return sites.url(f"{addresses.KUBERNETES}/stable-{minor}.txt")


def _newest(minor: str, sites: Sites, web: Web) -> str:
    url = newest_url(minor, sites)
    version = web.text(url).strip().removeprefix("v")
    if not is_exact(version) or not version.startswith(f"{minor}."):
        raise FetchFailed(f"{url} holds no version of {minor}: see what the server answers")
    return version
