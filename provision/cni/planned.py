"""CNIs that have a name here and are not there yet."""

from __future__ import annotations

from typing import NoReturn

from provision.errors import ConfigError


def _refuse(name: str) -> NoReturn:
    raise ConfigError(
        f"{name} is not there yet", key="cni", hint="use cni: bridge (or cni: none, and install your own)"
    )


class Calico:
    """Not there yet."""

    def __init__(self) -> None:
        _refuse("calico")


class Cilium:
    """Not there yet."""

    def __init__(self) -> None:
        _refuse("cilium")


class Flannel:
    """Not there yet."""

    def __init__(self) -> None:
        _refuse("flannel")
