"""Which CNI a lab gets: the one it names, or for `auto` the best that its bundle can give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from provision.artifacts.wanted import Wanted
from provision.cni.base import Cni
from provision.cni.custom import Custom
from provision.config.cni import CniConfig
from provision.extensions import CNIS

BEST, FALLBACK = "calico", "bridge"


def cni_of(settings: CniConfig) -> Cni:
    """Return the CNI for settings whose name is decided."""
    if settings.is_own:
        return Custom(settings)
    cni: Cni = CNIS.make(settings.name, Cni, settings)
    return cni


def wanted_of(settings: CniConfig) -> Wanted:
    """Return what the bundle must hold, or for `auto` would hold best: the files and images of Calico."""
    cni = cni_of(CniConfig(name=BEST) if settings.name == "auto" else settings)
    return replace(cni.wanted(), listed=cni.images)


def decide(settings: CniConfig, has: Callable[[Wanted], bool]) -> CniConfig:
    """Return the settings with `auto` decided: Calico if the bundle `has` what it wants."""
    if settings.name != "auto":
        return settings
    return CniConfig(name=BEST if has(wanted_of(settings)) else FALLBACK)
