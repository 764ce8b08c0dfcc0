"""The add-ons, changed in lab.yaml by one command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from provision.addons.choose import check
from provision.config.addons import KEY, in_order, known
from provision.config.edit import with_addons
from provision.config.schema import ClusterConfig
from provision.config.values import NONE
from provision.errors import ConfigError
from provision.host.files import write_output
from provision.report.base import Reporter


def changed(
    file: Path, config: ClusterConfig, added: Sequence[str], removed: Sequence[str]
) -> tuple[tuple[str, ...], str]:
    """Return the add-ons with and without those named, and the lab.yaml that says so; writes nothing.

    The text is empty where it says so already. Raises ConfigError for a name that no add-on has, for an
    add-on that the lab cannot have, and for a file that cannot be changed safely.
    """
    try:
        for name in (*added, *removed):
            known(name)
    except ValueError as error:
        raise ConfigError(str(error), key="NAME", hint="kubelab addon list") from None
    names = in_order(({*config.addons} | {*added}) - {*removed})
    text, wanted = ("", config) if names == config.addons else with_addons(file, names)
    check(wanted)
    return names, text


def write(file: Path, names: Sequence[str], text: str, report: Reporter) -> None:
    """Write a lab.yaml with other add-ons, unless `text` is empty; mode and link stay as they are."""
    if text:
        write_output(file, text, mode=file.stat().st_mode & 0o777)
    report.info(f"{file} says {KEY}: {', '.join(names) or NONE}")
