"""The manifests of a lab's snapshots: what was saved, when, and of which machines."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from provision.config.schema import ClusterConfig
from provision.errors import ConfigError, SnapshotError
from provision.host.files import write_atomic

LONGEST = 63
# `kubelab up` saves it once the cluster is healthy; `kubelab reset` restores it.
READY = "ready"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class SavedNode(_Model):
    """One machine of a snapshot; `size` is by how many bytes its files on the host grew."""

    name: str
    id: str
    size: int = Field(ge=0)


class Manifest(_Model):
    """One snapshot of a whole lab. Times are UTC, durations seconds.

    `live`: memory was saved too, not only disks. `verified`: everything in the cluster was ready just before.
    `good_until`: the first expiry of a certificate or token; until then a restore upsets only the clocks,
    which the nodes set themselves. None when it is not known.
    """

    schema_version: Literal[1] = 1
    lab: str
    name: str
    note: str
    time: dt.datetime
    parent: str | None
    live: bool
    verified: bool
    good_until: dt.datetime | None = None
    config_digest: str
    kubernetes: str
    box: str
    bundle: str
    nodes: tuple[SavedNode, ...]
    pause_spread: float = Field(ge=0)
    stand_still: float = Field(ge=0)

    @property
    def ids(self) -> dict[str, str]:
        """Return node name -> machine id."""
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
        """Return a manifest; raises SnapshotError when there is none, or when it is not valid."""
        try:
            text = self.path(name).read_text()
        except FileNotFoundError:
            raise SnapshotError(f"there is no snapshot `{name}`", hint="kubelab snapshot list") from None
        except (OSError, UnicodeDecodeError) as error:
            raise self._broken(name, str(error)) from None
        try:
            manifest = Manifest.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            raise self._broken(name, f"{where}: {first['msg']}") from None
        if (manifest.lab, manifest.name) != (self.lab, name):
            raise self._broken(name, f"it belongs to `{manifest.name}` of the lab {manifest.lab}")
        return manifest

    def all(self) -> tuple[dict[str, Manifest], dict[str, str]]:
        """Return the valid manifests by name, oldest first, and name -> what is wrong for the others."""
        found, broken = [], {}
        for file in sorted(self.folder.glob("[!.]*.json")):
            try:
                found.append(self.read(file.stem))
            except SnapshotError as error:
                broken[file.stem] = error.message
        found.sort(key=lambda manifest: (manifest.time, manifest.name))
        return {manifest.name: manifest for manifest in found}, broken

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


def check_name(name: str) -> str:
    """Return `name` if it may name a snapshot; raises ConfigError."""
    if len(name) > LONGEST or not _NAME.fullmatch(name):
        raise ConfigError(
            f"`{name[:LONGEST]}` is not a valid name for a snapshot",
            key="NAME",
            hint=f"allowed: 1 to {LONGEST} of a-z, 0-9 and `-`, with a letter or digit at both ends",
        )
    return name


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
