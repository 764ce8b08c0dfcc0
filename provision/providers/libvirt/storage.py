"""The storage pool: the images of boxes, and the machines' disks that are cloned from them.

Others have volumes there too. What is deleted was a disk of a machine that was removed, or is a clone of a
box that no machine has as its disk, and the further disks beside it, or is a box that nothing is cloned from.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from provision.box.reference import BoxReference
from provision.errors import ToolFailed
from provision.host.locks import host_lock, try_lock, wait_for_lock
from provision.providers.base import BOXES_LOCK
from provision.providers.libvirt.virsh import URI, Virsh
from provision.report.base import Reporter

POOL = "default"
UPLOAD_DEADLINE = 900.0
_FURTHER_DISK = re.compile(r"kubelab-(?P<machine>.+)-[0-9]+\.qcow2")
# Between the name of a box and its version, in what the plugin calls the image.
_OF_BOX = "_vagrant_box_image_"
_BOX_IMAGE = re.compile(rf"kubelab-.+{_OF_BOX}.+\.img")


@dataclass(frozen=True)
class Storage:
    """The pool that Vagrant's libvirt plugin puts disks into."""

    virsh: Virsh
    report: Reporter

    def has_box(self, box: BoxReference, folder: Path) -> bool:
        """Return whether the whole disk of the box is in the pool: a killed upload leaves a part of it."""
        volumes, volume, image = self._volumes(), _box_volume(box), folder / "box.img"
        if volume not in volumes or not image.is_file():
            return False
        root = self.virsh.xml("vol-dumpxml", "--pool", POOL, volume)
        if root is None:
            return False
        if root.findtext("physical") == str(image.stat().st_size):
            return True
        # Another user may have built the same box, of another size.
        return _real(volumes[volume]) in self._backing_files()

    def upload_box(self, box: BoxReference, folder: Path) -> None:
        """Upload the box's disk into the pool in one stream, under the name the plugin looks for.

        The plugin would do it itself, in small pieces that take several times as long.
        """
        volume = _box_volume(box)
        with wait_for_lock(host_lock(volume), self._tell_wait, self.virsh.cancel):
            if self.has_box(box, folder):
                return
            if volume in self._volumes():
                self.virsh("vol-delete", "--pool", POOL, volume)
            self.virsh("vol-create-as", POOL, volume, f"{box.disk}GiB", "--format", "qcow2")
            try:
                image = str(folder / "box.img")
                self.virsh("vol-upload", "--pool", POOL, volume, image, deadline=UPLOAD_DEADLINE)
            except BaseException:
                with contextlib.suppress(ToolFailed):
                    Virsh()("vol-delete", "--pool", POOL, volume)
                raise

    def delete_disks(self, files: Sequence[str]) -> None:
        """Delete the disks of machines that were removed, unless another machine has them too."""
        wanted = {_real(file) for file in files}
        found = {volume: path for volume, path in self._volumes().items() if _real(path) in wanted}
        # A clone that is left tells whose the further disks beside it are: it goes last.
        self._delete_unused(
            dict(sorted(found.items(), key=lambda item: not _FURTHER_DISK.fullmatch(item[0])))
        )

    def delete_left_disks(self, machines: re.Pattern[str]) -> None:
        """Delete the clones of boxes whose machines, of `machines`, are not there, and their further disks.

        Vagrant makes the clone before the further disks of a machine: where no clone was left, such a disk
        is known by its name alone, and may be somebody else's.
        """
        volumes = {
            name: path for name, path in self._volumes().items() if machines.fullmatch(machine_of(name))
        }
        used = self._files_in_use() if volumes else set()
        left = {name: path for name, path in volumes.items() if _real(path) not in used}
        further = {name: path for name, path in left.items() if _FURTHER_DISK.fullmatch(name)}
        clones = {name for name in left.keys() - further.keys() if self._is_clone_of_box(name)}
        ours = {name for name in further if machine_of(name) in map(machine_of, clones)}
        for name in [*sorted(ours), *sorted(clones)]:
            self.virsh.quietly("vol-delete", "--pool", POOL, name)
        for name in sorted(further.keys() - ours):
            how = f"virsh -c {URI} vol-delete --pool {POOL} {shlex.quote(name)}"
            self.report.warn(f"the volume {name} may be in the way, and may be another's; {how} deletes it")

    def delete_idle_boxes(self) -> None:
        """Delete box images that nothing is cloned from; none while a machine may be made of one."""
        with try_lock(host_lock(BOXES_LOCK)) as free:
            images = {name: path for name, path in self._volumes().items() if _BOX_IMAGE.fullmatch(name)}
            if not images:
                return
            if not free:
                self.report.info("box images stay in the storage pool: another lab is being made")
                return
            try:
                cloned = self._backing_files()
            except ToolFailed as error:
                self.report.info(f"box images stay in the storage pool: {error.message}")
                return
            self._delete_unused({name: path for name, path in images.items() if _real(path) not in cloned})

    def _delete_unused(self, volumes: Mapping[str, str]) -> None:
        """Delete volumes, without those that a machine has as its disk."""
        used = self._files_in_use() if volumes else set()
        for name, path in volumes.items():
            if _real(path) not in used:
                self.virsh.quietly("vol-delete", "--pool", POOL, name)

    def _files_in_use(self) -> set[str]:
        volumes = self._volumes()
        found = {file for root in self.virsh.domains() for file in disk_files(root, volumes)}
        return {_real(file) for file in found}

    def _backing_files(self) -> set[str]:
        """Return the files that volumes of any pool are cloned from."""
        (pools,) = self.virsh.lists("pool-list --name")
        found = {self._backing_path(pool, volume) for pool in pools for volume in self._names(pool)}
        return {_real(path) for path in found if path}

    def _is_clone_of_box(self, volume: str) -> bool:
        return _BOX_IMAGE.fullmatch(Path(self._backing_path(POOL, volume)).name) is not None

    def _backing_path(self, pool: str, volume: str) -> str:
        root = self.virsh.xml("vol-dumpxml", "--pool", pool, volume)
        return (root.findtext("backingStore/path") or "") if root is not None else ""

    def _volumes(self) -> dict[str, str]:
        """Return name -> path of the pool's volumes."""
        self.virsh("pool-refresh", POOL)
        return self._names(POOL)

    def _names(self, pool: str) -> dict[str, str]:
        # Two columns, three spaces apart: the name of a volume that is not ours may hold a space.
        lines = self.virsh("vol-list", pool).splitlines()
        pairs = (re.split(r" {2,}", line.strip(), maxsplit=1) for line in lines if line.strip())
        return {pair[0]: pair[-1] for pair in pairs}

    def _tell_wait(self) -> None:
        self.report.info("waiting for another kubelab command, which uploads the same box")


def further_volume(machine: str, number: int) -> str:
    """Return the name that the Vagrantfile gives to a machine's further disk, which counts from 1."""
    return f"kubelab-{machine}-{number}.qcow2"


def box_of(volume: str) -> str | None:
    """Return the box that a volume is the image of by its name; None for other volumes."""
    return volume.partition(_OF_BOX)[0] if _BOX_IMAGE.fullmatch(volume) else None


def machine_of(volume: str) -> str:
    """Return the machine that a volume is a disk of by its name; an empty string for other volumes."""
    if further := _FURTHER_DISK.fullmatch(volume):
        return further["machine"]
    return volume.removesuffix(".img") if volume.endswith(".img") else ""


def disk_files(root: ET.Element, volumes: Mapping[str, str] | None = None) -> list[str]:
    """Return the files that a machine's disks are in, and those that they are cloned from, as far as it says.

    A disk may also be named as one of the pool's `volumes` (name -> path).
    """
    sources = root.findall("devices/disk//source")
    known = volumes or {}
    named = [known.get(source.get("volume", ""), "") for source in sources if source.get("pool") == POOL]
    return [path for path in (*(source.get("file", "") for source in sources), *named) if path]


def _real(path: str) -> str:
    return os.path.realpath(path)


def _box_volume(box: BoxReference) -> str:
    return f"{box.name}{_OF_BOX}{box.version}_box.img"
