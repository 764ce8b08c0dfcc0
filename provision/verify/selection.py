"""Which tests a verification runs: chosen by concern (the name of their file) or by mark."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

QUICK = "quick"
# Those of the plugin, which can be asked for even where no test bears them.
MARKS = frozenset({QUICK, "changes", "restores"})
# Those that say nothing about the kind of a test.
_INTERNAL = frozenset({"filterwarnings", "look", "parametrize", "skip", "skipif", "usefixtures", "xfail"})


@dataclass(frozen=True)
class Selection:
    """A test is chosen if it is quick (where asked), has one of `only` (if any) and none of `skip`."""

    quick: bool = False
    only: Sequence[str] = ()
    skip: Sequence[str] = ()

    def chooses(self, names: Collection[str]) -> bool:
        """Return whether a test with these names, its concern and its marks, is to run."""
        wanted = not self.only or any(name in names for name in self.only)
        fast = not self.quick or QUICK in names
        return wanted and fast and not any(name in names for name in self.skip)

    def unknown(self, known: Collection[str]) -> list[str]:
        """Return the names that were asked for and are not in `known`, each once."""
        return list(dict.fromkeys(name for name in (*self.only, *self.skip) if name not in known))


def concern(file: Path) -> str:
    """Return what the tests of a file are about: "dns" for test_dns.py."""
    return file.stem.removeprefix("test_").removesuffix("_test")


def names_of(item: pytest.Item) -> set[str]:
    """Return the names by which a test can be chosen."""
    return {concern(item.path), *(mark.name for mark in item.iter_markers())} - _INTERNAL


def known_names(items: Iterable[pytest.Item], broken: Iterable[Path]) -> set[str]:
    """Return every name that chooses something; `broken` are files whose tests could not be read."""
    return set(MARKS).union(*(names_of(item) for item in items), (concern(file) for file in broken))
