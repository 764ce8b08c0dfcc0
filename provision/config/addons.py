"""The key `addons` of lab.yaml: what is put into the cluster beside what it needs itself."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated

from pydantic import BeforeValidator

from provision.config import values
from provision.config.suggest import did_you_mean
from provision.extensions import ADDONS

KEY = "addons"
EVERYTHING = "default"
DEFAULT = ("storage", "loadbalancer", "metrics-server")


def known(name: object) -> str:
    """Return the name of an add-on; raises ValueError, which names the nearest one."""
    names = tuple(ADDONS)
    if not isinstance(name, str) or name not in names:
        near = did_you_mean(name, names) if isinstance(name, str) else ""
        raise ValueError(f"{values.show(name)} is no add-on{near}; allowed: {', '.join(names)}")
    return name


def in_order(names: Collection[str]) -> tuple[str, ...]:
    """Return those of the add-ons that are among `names`, in the order of the registry."""
    return tuple(name for name in ADDONS if name in names)


def _addons(value: object) -> tuple[str, ...]:
    if value == values.NONE:
        return ()
    if value == EVERYTHING:
        return DEFAULT
    if not isinstance(value, list | tuple):
        allowed = f"{values.NONE}, {EVERYTHING} ({', '.join(DEFAULT)}), or a list of {', '.join(ADDONS)}"
        raise values.refusal(value, allowed)
    return in_order([known(name) for name in value])


# In the order of the registry, and none of them twice.
Addons = Annotated[tuple[str, ...], BeforeValidator(_addons)]
