"""What goes into a box, and the digest of all of it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from provision.box.reference import BoxReference
from provision.host.files import cache_dir
from provision.templates import data

SUITE = "trixie"
DISK_GIB = 12
VERSION = "1.0.0"
CONTAINERD_TEMPLATES = "templates/containerd"
_MARK = re.compile(r"-with-([0-9a-f]{8})")


def guest_packages() -> list[str]:
    """Return the Debian packages of the guest, without comments."""
    lines = data("templates/box/packages.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def base_key(packages: Sequence[str] = ()) -> str:
    """Return the digest of the root filesystem that all boxes with these packages of lab.yaml start from."""
    further = [",".join(sorted(packages)).encode()] if packages else []
    return _digest(SUITE.encode(), "\n".join(guest_packages()).encode(), *further)


def packages_mark(packages: Sequence[str]) -> str:
    """Return what the name of a box says of the packages of lab.yaml in it; an empty text for none."""
    return _digest(*(name.encode() for name in sorted(packages)))[:8] if packages else ""


def mark_in(name: str) -> str:
    """Return the mark of the packages in the name of a box; an empty text for a box without any."""
    found = _MARK.search(name)
    return found[1] if found else ""


@dataclass(frozen=True)
class BoxRecipe:
    """A box for one bundle, whose key says what Kubernetes it carries; `packages` are those of lab.yaml."""

    kubernetes: str
    bundle_key: str
    packages: tuple[str, ...] = ()

    @property
    def base_key(self) -> str:
        """Return the digest of the root filesystem that it starts from."""
        return base_key(self.packages)

    @property
    def key(self) -> str:
        """Return the digest of everything that goes into the box."""
        folder = data("templates/box")
        parts = [self.base_key.encode(), self.bundle_key.encode(), str(DISK_GIB).encode()]
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                parts += [str(path.relative_to(folder)).encode(), path.read_bytes()]
        parts += [path.read_bytes() for path in sorted(data(CONTAINERD_TEMPLATES).iterdir())]
        return _digest(*parts)

    @property
    def name(self) -> str:
        """Return the name under which Vagrant knows the box; its end says which packages are in it."""
        mark = packages_mark(self.packages)
        return f"kubelab-{self.kubernetes}-{self.key[:12]}" + (f"-with-{mark}" if mark else "")

    @property
    def reference(self) -> BoxReference:
        """Return how a Vagrantfile names this box."""
        return BoxReference(self.name, VERSION, (self.folder / "box.json").as_uri(), DISK_GIB)

    @property
    def folder(self) -> Path:
        return cache_dir() / "boxes" / self.key

    @property
    def file(self) -> Path:
        """Return where the .box file is, once it is built."""
        return self.folder / "kubelab.box"


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()
