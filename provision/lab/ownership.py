"""Which machines are this lab's own. Others are never changed, whatever their names.

Vagrant writes into each machine which Vagrantfile it was made from, and keeps the machine's id in the folder
of that file. The name alone proves nothing: `lab` is what `kubelab init` calls every lab.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from provision.config.names import machine_names
from provision.config.schema import ClusterConfig
from provision.providers.base import LabMachine, Provider
from provision.providers.vagrant import Machines


@dataclass(frozen=True)
class Ownership:
    """Tells the machines of the lab in `folder` from others; `ids` are those that Vagrant keeps there."""

    config: ClusterConfig
    folder: Path
    ids: Collection[str]

    def covers(self, machine: LabMachine) -> bool:
        """Return whether the lab in this folder made a machine.

        A copied folder keeps the same ids as its original. So they prove something only where no other
        folder can claim the machine: none is named, or the named one is gone since the lab was moved here.
        """
        if machine_names(self.config.name).fullmatch(machine.name) is None:
            return False
        if machine.source == self.folder / "Vagrantfile":
            return True
        claimed = machine.source is not None and _is_claimed(machine, machine.source.parent)
        return machine.id in self.ids and not claimed


def ownership_of(config: ClusterConfig, folder: Path, machines: Machines) -> Ownership:
    """Return what tells the machines of the lab in `folder` from others, as things are now."""
    return Ownership(config, folder, frozenset(machines.known_ids().values()))


def others(config: ClusterConfig, folder: Path, provider: Provider, machines: Machines) -> list[LabMachine]:
    """Return the machines with a name or an id of this lab that `folder` did not make."""
    own = ownership_of(config, folder, machines)
    return [found for found in provider.lab_machines(config, own.ids) if not own.covers(found)]


def strays(config: ClusterConfig, folder: Path, provider: Provider, machines: Machines) -> list[LabMachine]:
    """Return the machines made from this folder that Vagrant keeps no id of, or that left lab.yaml."""
    own, ids = ownership_of(config, folder, machines), set(machines.ids().values())
    found = [machine for machine in provider.lab_machines(config, own.ids) if own.covers(machine)]
    return [machine for machine in found if machine.id not in ids]


def _is_claimed(machine: LabMachine, folder: Path) -> bool:
    """Return whether `folder` still has a Vagrantfile, or the id of `machine`."""
    return _exists(folder / "Vagrantfile") or _exists(folder / ".vagrant" / "machines" / machine.name)


def _exists(path: Path) -> bool:
    """Return whether a path exists; one that cannot be looked at counts as if it did."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True
