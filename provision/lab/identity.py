"""Which lab a lab.yaml is about: by its name and its provider the lab is found at all."""

from __future__ import annotations

import re
from collections.abc import Iterator

from provision.config.names import lab_of_machine
from provision.config.schema import ClusterConfig
from provision.lab.differences import Difference
from provision.workspace import Workspace

# Larger files are no lab.yaml that somebody wrote.
LARGEST = 2**16


def another_lab(config: ClusterConfig, workspace: Workspace) -> list[Difference]:
    """Return the keys by which lab.yaml leads away from the lab that is in its folder; asks no hypervisor."""
    return [*_name(config, workspace), *_provider(config, workspace)]


def _provider(config: ClusterConfig, workspace: Workspace) -> Iterator[Difference]:
    used = workspace.providers_used()
    if used and config.provider not in used:
        yield Difference("provider", ", ".join(used), config.provider, refused=True)


def _name(config: ClusterConfig, workspace: Workspace) -> Iterator[Difference]:
    """Yield the name that a lab of this folder has which no file there names: it was renamed in lab.yaml.

    A folder may have several labs, each with its file.
    """
    if workspace.has_machines():
        return
    labs = {lab for name in workspace.every_machine() if (lab := lab_of_machine(name)) is not None}
    left = sorted(lab for lab in labs - {config.name} if not _is_named(lab, workspace))
    if left:
        yield Difference("name", ", ".join(left), config.name, refused=True)


def _is_named(lab: str, workspace: Workspace) -> bool:
    """Return whether a file in the folder could be the lab.yaml of `lab`."""
    line = re.compile(rf"""\bname["']?\s*:\s*["']?{re.escape(lab)}(?![-\w])""".encode())
    try:
        files = [file for file in workspace.root.iterdir() if file.is_file()]
        return any(file.stat().st_size <= LARGEST and line.search(file.read_bytes()) for file in files)
    except OSError:
        # What cannot be read is not held against the user.
        return True
