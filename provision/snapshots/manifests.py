"""The manifests of a lab's snapshots: what was saved, when, and of which machines."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from provision.config.schema import ClusterConfig
from provision.errors import ConfigError, MadeByNewer, SnapshotError
from provision.host.files import write_atomic
from provision.host.records import read_record
from provision.snapshots.names import MachineId, SnapshotName, is_name

# `kubelab up` saves it once the cluster is healthy; `kubelab reset` restores it.
READY = "ready"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class SavedNode(_Model):
    """One machine of a snapshot, by its own name; `size` is by how many bytes its files on the host grew."""

    name: str
    id: MachineId
    size: int = Field(ge=0)


class Manifest(_Model):
    """One snapshot of a whole lab. Times are UTC, durations seconds.

    `live`: memory was saved too, not only disks. `verified`: everything in the cluster was ready just before.
    `good_until`: the first expiry of a certificate or token; until then a restore upsets only the clocks,
    which the nodes set themselves. None when it is not known. `number`: a snapshot has a greater one than all
    that were there when it was saved, whatever the host's clock said; 0 in a manifest that does not tell.
    """

    schema_version: Literal[1] = 1
    lab: str
    name: SnapshotName
    number: int = Field(default=0, ge=0)
    note: str
    time: AwareDatetime
    parent: SnapshotName | None
    live: bool
    verified: bool
    good_until: AwareDatetime | None = None
    config_digest: str
    kubernetes: str
    box: str
    bundle: str
    nodes: tuple[SavedNode, ...]
    pause_spread: float = Field(ge=0)
    stand_still: float = Field(ge=0)

    @property
    def ids(self) -> dict[str, str]:
        """Return machine name -> machine id."""
        return {node.name: node.id for node in self.nodes}

    @property
    def size(self) -> int:
        """Return the size of the whole snapshot in bytes."""
        return sum(node.size for node in self.nodes)


@dataclass(frozen=True)
class Manifests:
    """The manifests in the folder of one lab."""

    folder: Path
    lab: str

    def path(self, name: str) -> Path:
        """Return the file of the snapshot `name`."""
        return self.folder / f"{name}.json"

    def exists(self, name: str) -> bool:
        """Return whether there is a manifest, valid or not."""
        return self.path(name).is_file()

    def read(self, name: str) -> Manifest:
        """Return a manifest.

        Raises SnapshotError when there is none, or when it is not valid, and MadeByNewer.
        """
        try:
            manifest = read_record(self.path(name), Manifest)
        except FileNotFoundError:
            raise SnapshotError(f"there is no snapshot `{name}`", hint="kubelab snapshot list") from None
        except ValueError as error:
            raise self._broken(name, str(error)) from None
        if (manifest.lab, manifest.name) != (self.lab, name):
            raise self._broken(name, f"it belongs to `{manifest.name}` of the lab {manifest.lab}")
        return manifest

    def all(self) -> tuple[dict[str, Manifest], dict[str, SnapshotError | MadeByNewer]]:
        """Return the valid manifests by name, in the order they were saved, and what is wrong with others."""
        found: list[Manifest] = []
        broken: dict[str, SnapshotError | MadeByNewer] = {}
        for name in filter(is_name, sorted(file.stem for file in self.folder.glob("*.json"))):
            try:
                found.append(self.read(name))
            except (SnapshotError, MadeByNewer) as error:
                broken[name] = error
        found.sort(key=lambda manifest: (manifest.number, manifest.time, manifest.name))
        return {manifest.name: manifest for manifest in found}, broken

    def next_number(self) -> int:
        """Return the number of a snapshot that is saved now."""
        return 1 + max((manifest.number for manifest in self.all()[0].values()), default=0)

    def write(self, manifest: Manifest) -> None:
        """Write a manifest, atomically."""
        write_atomic(self.path(manifest.name), manifest.model_dump_json(by_alias=True, indent=2) + "\n")

    def remove(self, name: str) -> None:
        """Remove a manifest; its children get its parent as theirs."""
        manifests, _ = self.all()
        parent = manifests[name].parent if name in manifests else None
        for child in children(manifests, name):
            self.write(manifests[child].model_copy(update={"parent": parent}))
        self.path(name).unlink(missing_ok=True)

    def _broken(self, name: str, why: str) -> SnapshotError:
        return SnapshotError(
            f"the manifest of the snapshot `{name}` is broken: {why}",
            hint=f"restore the file {self.path(name)}, or: kubelab snapshot delete {name}",
        )


def check_note(note: str) -> str:
    """Return `note` if a manifest can hold it; raises ConfigError."""
    try:
        note.encode()
    except UnicodeEncodeError:
        raise ConfigError("is not text in UTF-8", key="--note", hint="allowed: any text in UTF-8") from None
    return note


def children(manifests: Mapping[str, Manifest], name: str) -> list[str]:
    """Return the names of the snapshots whose parent is `name`."""
    return [other.name for other in manifests.values() if other.parent == name]


def config_digest(config: ClusterConfig) -> str:
    """Return a digest of the configuration."""
    return hashlib.sha256(config.model_dump_json().encode()).hexdigest()
