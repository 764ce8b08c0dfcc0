"""Packages of lab.yaml that Debian does not have: told by the key, and in apt's words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from provision.box.recipe import SUITE
from provision.errors import ConfigError

KEY = "packages"
_ABSENT = re.compile(
    r"(?:E|Error): (?:Unable to locate package (\S+)|Package '(\S+)' has no installation candidate)"
)


def refuse_absent(packages: Sequence[str], output: str) -> None:
    """Raise ConfigError where the output of apt says that it knows none, or not all, of `packages`."""
    said = {found[1] or found[2]: found[0] for found in _ABSENT.finditer(output)}
    absent = [name for name in packages if name in said]
    if absent:
        raise _error(absent, "; ".join(said[name] for name in absent))


def refuse_replaced(packages: Sequence[str], installed: Iterable[str]) -> None:
    """Raise ConfigError where apt took something else for a name.

    It takes some names for patterns, and virtual packages for those that provide them.
    """
    replaced = sorted({*packages} - {*installed})
    if replaced:
        raise _error(replaced, "apt took it for something else, such as a virtual package or a pattern")


def _error(names: Sequence[str], why: str) -> ConfigError:
    return ConfigError(
        f"Debian {SUITE} has no package called {', '.join(names)}: {why}",
        key=KEY,
        hint=f"`apt-cache search WORD` on a Debian {SUITE} finds names; those of its part `main` can be had",
    )
