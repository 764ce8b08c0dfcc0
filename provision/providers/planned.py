"""Providers that are planned, and refused until they are supported."""

from __future__ import annotations

from threading import Event

from provision.errors import ConfigError
from provision.report.base import Reporter


class Hosts:
    """Machines that exist already."""

    def __init__(self, report: Reporter, cancel: Event) -> None:
        raise ConfigError(
            "the provider `hosts` is not supported yet", key="provider", hint="use provider: libvirt"
        )
