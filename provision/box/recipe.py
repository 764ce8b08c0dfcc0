"""What goes into a box, and the digest of all of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from provision.box.reference import BoxReference
from provision.host.files import cache_dir
from provision.templates import data

SUITE = "trixie"
DISK_GIB = 12
VERSION = "1.0.0"
CONTAINERD_TEMPLATES = "templates/containerd"


def guest_packages() -> list[str]:
    """Return the Debian packages of the guest, without comments."""
    lines = data("templates/box/packages.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def base_key() -> str:
    """Return the digest of the root filesystem that all boxes start from."""
    return _digest(SUITE.encode(), "\n".join(guest_packages()).encode())


@dataclass(frozen=True)
class BoxRecipe:
    """A box for one bundle: `bundle_key` says what Kubernetes it carries."""

    kubernetes: str
    bundle_key: str

    @property
    def key(self) -> str:
        """Return the digest of everything that goes into the box."""
        folder = data("templates/box")
        parts = [base_key().encode(), self.bundle_key.encode(), str(DISK_GIB).encode()]
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                parts += [str(path.relative_to(folder)).encode(), path.read_bytes()]
        parts += [path.read_bytes() for path in sorted(data(CONTAINERD_TEMPLATES).iterdir())]
        return _digest(*parts)

    @property
    def name(self) -> str:
        """Return the name under which Vagrant knows the box."""
        return f"kubelab-{self.kubernetes}-{self.key[:12]}"

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
