"""etcdctl and etcdutl, for people who look into etcd: they lie in its own image, and are copied out of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from provision.artifacts.bundle import Entry, entry_of
from provision.artifacts.images.archive import take_programs
from provision.artifacts.images.recipes import ETCD_PROGRAMS, PROGRAMS_FOLDER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provision.report.base import Reporter

IMAGE = "etcd"


def add(root: Path, images: Sequence[Entry], reporter: Reporter) -> list[Entry]:
    """Copy them into the programs of the bundle at `root`; return their entries.

    An image that is built in another way may lack them: that is told, and no cluster needs them.
    """
    entries = []
    for image in images:
        if image.name == IMAGE:
            wanted = [f"{PROGRAMS_FOLDER}/{name}" for name in ETCD_PROGRAMS]
            binaries = root / "binaries"
            binaries.mkdir(exist_ok=True)
            found = take_programs(root / image.path, wanted, binaries)
            if len(found) < len(wanted):
                reporter.info(f"the image {image.ref} lacks {' or '.join(ETCD_PROGRAMS)}: so will the nodes")
            entries += [entry_of(root, f"binaries/{name}", "binary", version=image.version) for name in found]
    return entries
