"""Providers that have a name here and are not there yet."""

from __future__ import annotations

from threading import Event

from provision.errors import ConfigError
from provision.report.base import Reporter


class Hosts:
    """Machines that exist already: not there yet."""

    def __init__(self, report: Reporter, cancel: Event) -> None:
        raise ConfigError("hosts is not there yet", key="provider", hint="use provider: libvirt")
