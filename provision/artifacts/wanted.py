"""What a lab wants in its bundle beside Kubernetes itself: the images and manifests of its CNI."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

# Gives the place of a wanted file by its name.
Files = Callable[[str], Path]


def _none(files: Files) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True)
class WantedFile:
    """A file at a public `url`, kept as `manifests/NAME`; without `sha256` it is taken as it comes."""

    url: str
    name: str
    sha256: str | None = None


@dataclass(frozen=True)
class Wanted:
    """Images by reference ("quay.io/calico/node:v3.33.1") and files; a mirror's address is put in later.

    `listed` reads from the files, once they are there, which further images they name; `foreseen` are those
    that are known before, and none where they are not.
    """

    images: tuple[str, ...] = ()
    files: tuple[WantedFile, ...] = ()
    listed: Callable[[Files], Iterable[str]] = field(default=_none, compare=False)
    foreseen: tuple[str, ...] = field(default=(), compare=False)

    @property
    def words(self) -> tuple[str, ...]:
        """Return a text for everything here, the same for the same contents: for the key of a bundle."""
        return (
            *(f"image {ref}" for ref in sorted(set(self.images))),
            *sorted(f"file {file.name} {file.url} {file.sha256 or '-'}" for file in set(self.files)),
        )

    def __bool__(self) -> bool:
        return bool(self.images or self.files)

    def __le__(self, other: Wanted) -> bool:
        """Return whether all of this is in `other`."""
        return set(self.images) <= set(other.images) and set(self.files) <= set(other.files)


NOTHING = Wanted()
