"""Tells whose a cluster file is, and makes a lab.yaml of it."""

from __future__ import annotations

from pathlib import Path

from provision.config.document import read_document
from provision.config.lab_file import read_lab_file
from provision.errors import ConfigError
from provision.translation import k0sctl, kind, settings
from provision.translation.draft import Draft
from provision.translation.source import Source

KNOWN = (kind, k0sctl, settings)
NAMES = "kind's cluster file, k0sctl.yaml, and settings.yaml with nodes.control and nodes.workers"
NO_KEY = "lab.yaml has no key for it"


def translate(file: Path) -> tuple[str, list[tuple[str, str]]]:
    """Return the lab.yaml for a file of another tool, and what was not carried: its key, and what to do.

    Raises ConfigError for a file that cannot be read, or is none of NAMES.
    """
    document = read_document(read_lab_file(file), file)
    tool = next((tool for tool in KNOWN if tool.fits(document)), None)
    if tool is None:
        raise ConfigError(f"{file} is no file that kubelab can translate", hint=f"it knows {NAMES}")
    source, draft = Source(document), Draft()
    tool.translate(source, draft)
    for key in source.left(tool.ADVICE):
        draft.lose(key, _advice(key, tool.ADVICE))
    return draft.text(), draft.lost


def _advice(key: str, advice: dict[str, str]) -> str:
    """Return what to do about a key: said of itself, or of one that it lies in."""
    within = [known for known in advice if f"{key}.".startswith(f"{known}.")]
    return advice[max(within, key=len)] if within else NO_KEY
