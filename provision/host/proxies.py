"""What the environment says of proxies, and how a program is told to go without one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LOOPBACK = ("localhost", "127.0.0.1", "::1")
EXEMPT = ("NO_PROXY", "no_proxy")


def without_proxy(networks: Iterable[object], environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables by which a program reaches `networks` and this host directly.

    What is exempt already stays so. Programs in Go, such as kubectl, understand ranges here.
    """
    found = os.environ if environment is None else environment
    words = [word.strip() for name in EXEMPT for word in found.get(name, "").split(",")]
    words += [*LOOPBACK, *map(str, networks)]
    value = ",".join(dict.fromkeys(word for word in words if word))
    return dict.fromkeys(EXEMPT, value)


def proxy_of(scheme: str, environment: Mapping[str, str] | None = None) -> str:
    """Return the proxy that the environment names for `scheme`, in either case, or an empty string."""
    found = os.environ if environment is None else environment
    name = f"{scheme}_proxy"
    return found.get(name) or found.get(name.upper()) or ""


def behind_proxy(environment: Mapping[str, str] | None = None) -> bool:
    """Return whether the environment names any proxy."""
    return bool(proxy_of("https", environment) or proxy_of("http", environment))
