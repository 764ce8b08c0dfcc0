"""The add-ons by their names."""

from __future__ import annotations

from collections.abc import Iterable

from provision.addons.base import Addon
from provision.config.schema import ClusterConfig
from provision.extensions import ADDONS


def addon_of(name: str) -> Addon:
    """Return the add-on called `name`, which is in the registry; raises LabError for a broken package."""
    made: Addon = ADDONS.make(name, Addon)
    return made


def addons_of(names: Iterable[str]) -> list[Addon]:
    """Return the add-ons of these names, in their order."""
    return [addon_of(name) for name in names]


def check(config: ClusterConfig) -> None:
    """Raise ConfigError for an add-on that a lab of this lab.yaml cannot have."""
    for addon in addons_of(config.addons):
        addon.check(config)
