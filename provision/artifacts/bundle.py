"""A bundle: one folder with everything a cluster is made of, and an index that says what is in it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from provision.errors import LabError
from provision.host.files import cache_dir, write_atomic
from provision.host.records import read_small

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SCHEMA = 1
INDEX = "index.json"
KINDS = ("binary", "image", "file")


class BundleBroken(LabError):
    """A bundle is incomplete or was changed; `path` is the offending file, relative to the bundle."""

    def __init__(self, root: Path, path: str, *, expected: str, got: str) -> None:
        super().__init__(
            f"the bundle {root} is broken: {path}: expected {expected}, got {got}",
            hint="name a folder that `kubelab bundle create --into FOLDER` made, or make one again",
        )
        self.path = path
        self.expected = expected
        self.got = got


@dataclass(frozen=True)
class Entry:
    """One file of a bundle: `size` in bytes, `version` what is truly inside.

    An image has its name as `ref`, and the `digest` of its registry if it comes from one.
    """

    path: str
    kind: str
    sha256: str
    size: int
    ref: str = ""
    version: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """Return the file's name without its folder and, for an image, without `.tar`."""
        return PurePosixPath(self.path).name.removesuffix(".tar")


@dataclass(frozen=True)
class Bundle:
    """An opened bundle: `recipe` is the digest of what it was made from, its key in the cache."""

    root: Path
    kubernetes: str
    source: str
    recipe: str
    entries: tuple[Entry, ...]

    @classmethod
    def open(cls, root: Path) -> Bundle:
        """Read the index of the bundle at `root` and check each file's size.

        Raises BundleBroken if there is no index or a file does not fit it.
        """
        try:
            text = read_small(root / INDEX)
        except FileNotFoundError:
            raise BundleBroken(root, INDEX, expected="a file", got="no such file") from None
        except ValueError as error:
            raise BundleBroken(root, INDEX, expected="a file", got=str(error)) from None
        bundle = _parse(root, text)
        for entry in bundle.entries:
            _check_size(root, entry)
        return bundle

    @property
    def digest(self) -> str:
        """Return the sha256 over every entry: two bundles with the same digest hold the same bytes."""
        lines = [f"{entry.sha256} {entry.kind} {entry.path} {entry.ref}\n" for entry in self.entries]
        return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()

    @property
    def size(self) -> int:
        """Return the bytes of all files."""
        return sum(entry.size for entry in self.entries)

    def verify(self) -> None:
        """Read every file and compare its sha256; raises BundleBroken."""
        for entry in self.entries:
            _check_size(self.root, entry)
            found = sha256_of(self.path(entry))
            if found != entry.sha256:
                raise BundleBroken(
                    self.root, entry.path, expected=f"sha256:{entry.sha256}", got=f"sha256:{found}"
                )

    def path(self, entry: Entry) -> Path:
        """Return where the file of `entry` lies."""
        return self.root / entry.path

    def binaries(self) -> tuple[Entry, ...]:
        """Return the programs for the nodes: `binaries/kubelet`, `binaries/cni/bridge` and so on."""
        return self._of("binary")

    def images(self) -> tuple[Entry, ...]:
        """Return the container images, each a docker archive with its `ref`."""
        return self._of("image")

    def manifests(self) -> tuple[Entry, ...]:
        """Return the manifests and other plain files."""
        return self._of("file")

    def image(self, name: str) -> Entry:
        """Return the image called `name`, such as "pause" or "busybox"; raises LabError."""
        for entry in self.images():
            if entry.name == name:
                return entry
        raise LabError(
            f"the bundle {self.root} has no image {name}", hint="make it again: kubelab bundle create"
        )

    def has_image(self, ref: str) -> bool:
        """Return whether the image `ref` is here, by its tag; with a digest, it must be of that one too."""
        tagged, _, digest = ref.partition("@")
        return any(
            entry.ref == tagged and (not digest or entry.digest in {"", digest}) for entry in self.images()
        )

    def _of(self, kind: str) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.entries if entry.kind == kind)


def bundles_dir() -> Path:
    """Return the folder of the cache that holds the bundles, each in a folder named by its key."""
    return cache_dir() / "bundles"


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def entry_of(
    root: Path, path: str, kind: str, *, ref: str = "", version: str = "", digest: str = ""
) -> Entry:
    """Describe the file `path` below `root` as it is now."""
    file = root / path
    return Entry(path, kind, sha256_of(file), file.stat().st_size, ref, version, digest)


def write_index(root: Path, *, kubernetes: str, source: str, recipe: str, entries: Iterable[Entry]) -> None:
    """Write the index that makes the folder `root` a bundle; the last thing done to a new one."""
    content = {
        "schema": SCHEMA,
        "kubernetes": kubernetes,
        "source": source,
        "recipe": recipe,
        "entries": [asdict(entry) for entry in sorted(entries, key=lambda entry: entry.path)],
    }
    write_atomic(root / INDEX, json.dumps(content, indent=2) + "\n")


def _check_size(root: Path, entry: Entry) -> None:
    file = root / entry.path
    got = f"{file.stat().st_size} bytes" if file.is_file() else "no such file"
    expected = f"{entry.size} bytes"
    if got != expected:
        raise BundleBroken(root, entry.path, expected=expected, got=got)


def _parse(root: Path, text: bytes) -> Bundle:
    def broken(expected: str, got: object) -> BundleBroken:
        return BundleBroken(root, INDEX, expected=expected, got=str(got))

    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise broken("JSON", f"something else ({error})") from None
    if not isinstance(raw, dict):
        raise broken("an object", type(raw).__name__)
    if raw.get("schema") != SCHEMA:
        raise broken(f"schema {SCHEMA}", f"schema {raw.get('schema')}")
    try:
        entries = tuple(_entry(item, broken) for item in raw["entries"])
        return Bundle(root, str(raw["kubernetes"]), str(raw["source"]), str(raw["recipe"]), entries)
    except KeyError as error:
        raise broken(f"the field {error}", "none") from None
    except (TypeError, ValueError) as error:
        raise broken("a list of entries", error) from None


def _entry(item: dict[str, object], broken: Callable[[str, object], BundleBroken]) -> Entry:
    entry = Entry(
        path=str(item["path"]),
        kind=str(item["kind"]),
        sha256=str(item["sha256"]),
        size=int(str(item["size"])),
        ref=str(item.get("ref", "")),
        version=str(item.get("version", "")),
        digest=str(item.get("digest", "")),
    )
    path = PurePosixPath(entry.path)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise broken("a path inside the bundle", entry.path)
    if entry.kind not in KINDS:
        raise broken(f"one of the kinds {', '.join(KINDS)}", entry.kind)
    return entry
