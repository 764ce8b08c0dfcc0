"""The key `packages` of a lab.yaml: further Debian packages in the box that the nodes start from."""

from __future__ import annotations

import re

from pydantic import BeforeValidator

from provision.config.values import Problems, refusal

MOST = 64
# As Debian's policy has names. At its end apt would take a dash for the wish to remove the package.
PACKAGE = r"[a-z0-9][a-z0-9+.-]{0,98}[a-z0-9+.]"
ALLOWED = f"a list of up to {MOST} names of Debian packages, such as [vim, tcpdump]"
NAME = "the name of a Debian package without a version, each once, such as tcpdump"
# The box starts one kernel, and has only that.
_KERNEL = "linux-image-"
_PACKAGE = re.compile(PACKAGE)


def debian_packages() -> BeforeValidator:
    """Return the validator of a list of packages."""
    return BeforeValidator(_packages)


def _packages(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or len(value) > MOST:
        raise refusal(value, ALLOWED)
    problems = [
        (str(place), text) for place, item in enumerate(value) if (text := _wrong(item, value[:place]))
    ]
    if problems:
        raise Problems(problems)
    return tuple(value)


def _wrong(item: object, before: list[object] | tuple[object, ...]) -> str:
    """Return what is wrong with an item that follows others; an empty string if nothing is."""
    if not isinstance(item, str) or not _PACKAGE.fullmatch(item) or item in before:
        return str(refusal(item, NAME))
    if item.startswith(_KERNEL):
        return f"{item} is a kernel, and the nodes have theirs; allowed: {NAME}"
    return ""
