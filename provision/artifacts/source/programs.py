"""The images of an add-on: one a program, built from the Go module that a go.mod of ours pins.

They lie in a small bundle of their own. The lab's bundle, and with it the box, stays the same with and
without add-ons; nodes get these images when the lab wants them.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from provision.artifacts import extras
from provision.artifacts.bundle import SCHEMA, Bundle, entry_of, write_index
from provision.artifacts.cache import find_at, made_once
from provision.artifacts.images.archive import EXECUTABLE, ImageConfig, minimal_root, write_image
from provision.artifacts.plan import MODULE, Planned
from provision.artifacts.source import golang
from provision.host.files import cache_dir
from provision.templates import data

if TYPE_CHECKING:
    from provision.report.base import Reporter

# Raise it whenever the code here makes something else of the same inputs.
RECIPE = 1
# The folder of these bundles, in the cache and in a bundle that the user was given.
FOLDER = "addons"
# What the largest of them compiles and downloads.
SPACE_MIB = 3 * 1024
CACHES = "KUBELAB_CACHE, GOCACHE and GOMODCACHE"


@dataclass(frozen=True)
class Programs:
    """The programs of one Go module: `images` maps each to the name of its image, without a tag.

    `folder` holds the go.mod, with a `tool` line for each of them, and the go.sum.
    """

    folder: Path
    module: str
    images: Mapping[str, str]

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def version(self) -> str:
        """Return the pinned version, such as "v0.0.30"."""
        return golang.required(self.folder / "go.mod", self.module)

    @property
    def refs(self) -> dict[str, str]:
        """Return program -> the reference of its image."""
        return {program: f"{image}:{self.version}" for program, image in self.images.items()}

    @property
    def key(self) -> str:
        """Return the digest of all that the images are made from: the name of their bundle."""
        digest = hashlib.sha256()
        for word in (str(SCHEMA), str(RECIPE), *self.refs, *self.refs.values()):
            digest.update(f"{word}\n".encode())
        for file in sorted(self.folder.iterdir()):
            content = file.read_bytes()
            digest.update(f"{file.name} {len(content)}\n".encode() + content)
        return digest.hexdigest()

    def plan(self) -> list[Planned]:
        """Return the module; Go knows what else it needs."""
        return [
            Planned(MODULE, f"{self.module}@{self.version}", "through GOPROXY, with all that it requires")
        ]

    def find(self, beside: Path | None = None) -> Bundle | None:
        """Return the images from the bundle in the folder `beside`, else from the cache; None without."""
        places = [beside] if beside is not None else []
        found = (find_at(place / FOLDER / self.key) for place in (*places, cache_dir()))
        return next((bundle for bundle in found if bundle is not None), None)

    def build(self, reporter: Reporter, cancel: threading.Event) -> Bundle:
        """Return the images from the cache, built first where needed.

        Raises MissingTool, ResourceError, ToolFailed, Cancelled.
        """
        root = cache_dir() / FOLDER / self.key
        return made_once(root, f"the images of {self.name}", self._make, reporter, cancel)

    def _make(self, root: Path, work: Path, reporter: Reporter, cancel: threading.Event) -> None:
        for place in (root, *golang.cache_folders()):
            extras.check_space(place, SPACE_MIB, f"building {self.name}", moved_by=CACHES)
        reporter.info(f"building {self.name} {self.version} from source: the cache has no image of it")
        built = work / "built"
        golang.build(self.folder, built, work, reporter, cancel=cancel)
        (root / "images").mkdir()
        entries = []
        for program, ref in self.refs.items():
            layer = minimal_root()
            layer.add(f"/{program}", built / program, mode=EXECUTABLE)
            path = f"images/{program}.tar"
            write_image(root / path, ref, layer, ImageConfig((f"/{program}",)))
            entries.append(entry_of(root, path, "image", ref=ref, version=self.version))
        write_index(root, kubernetes="", source="source", recipe=self.key, entries=entries)


def shipped(name: str, module: str, images: Mapping[str, str]) -> Programs:
    """Return the programs whose go.mod kubelab ships, in the folder `name`."""
    return Programs(data(f"templates/bundle/{FOLDER}/{name}"), module, images)
