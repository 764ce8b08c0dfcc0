"""All labs of this user on this host, found by what each machine says it was made from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from provision.config.names import lab_of_machine
from provision.errors import Cancelled, ConfigError, LabError, MissingTool, in_one_line
from provision.extensions import PROVIDERS
from provision.providers.base import MISSING, RUNNING, LabMachine, Provider
from provision.report.base import Reporter


@dataclass(frozen=True)
class LabSeen:
    """A lab as the hypervisor shows it: the folder that made it, and node name -> state."""

    name: str
    folder: Path
    provider: str
    nodes: dict[str, str] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """Return the state that all machines have, or how many of them run."""
        states = list(self.nodes.values())
        return states[0] if len(set(states)) == 1 else f"{states.count(RUNNING)} of {len(states)} running"

    @property
    def folder_exists(self) -> bool:
        return self.folder.is_dir()


def labs_of_user(report: Reporter, cancel: Event) -> tuple[list[LabSeen], dict[str, str]]:
    """Return the labs, and provider -> why it could not be asked; raises Cancelled.

    A provider that is not installed has no labs.
    """
    found: list[LabSeen] = []
    unknown: dict[str, str] = {}
    for name in PROVIDERS:
        try:
            found += _labs(PROVIDERS.make(name, Provider, report, cancel))
        # Such a one is planned.
        except (MissingTool, ConfigError):
            continue
        except Cancelled:
            raise
        except LabError as error:
            unknown[name] = in_one_line(error)
    return sorted(found, key=lambda lab: (lab.name, lab.folder)), unknown


def _labs(provider: Provider) -> Sequence[LabSeen]:
    """Return the labs of this user that a provider has."""
    machines = provider.machines_of_labs()
    states = provider.states([machine.id for machine in machines])
    labs: dict[tuple[str, Path], LabSeen] = {}
    for machine in sorted(machines, key=lambda each: each.name):
        lab, folder = lab_of_machine(machine.name), _folder(machine)
        if lab is not None and folder is not None:
            seen = labs.setdefault((lab, folder), LabSeen(lab, folder, provider.name))
            seen.nodes[machine.node] = states.get(machine.id, MISSING)
    return list(labs.values())


def _folder(machine: LabMachine) -> Path | None:
    """Return the folder of this user that a machine was made from, None for what may be another user's.

    A hypervisor shows the machines of all users. Of a folder that is gone the nearest one that is left tells.
    """
    if machine.source is None or not machine.source.is_absolute():
        return None
    for folder in machine.source.parents:
        try:
            return machine.source.parent if folder.stat().st_uid == os.getuid() else None
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            return None
    return None
