"""Which tests a verification runs: selected by concern (the name of their file) or by mark."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

QUICK = "quick"
# The plugin's marks, which may be named even when no test has them.
MARKS = frozenset({QUICK, "changes", "restores"})
# Marks of pytest, and `look`, which do not select tests.
_INTERNAL = frozenset({"filterwarnings", "look", "parametrize", "skip", "skipif", "usefixtures", "xfail"})


@dataclass(frozen=True)
class Selection:
    """Selects a test if it has the mark quick (if `quick`), one of `only` (if any) and none of `skip`."""

    quick: bool = False
    only: Sequence[str] = ()
    skip: Sequence[str] = ()

    def chooses(self, names: Collection[str]) -> bool:
        """Return whether a test with these names (its concern and its marks) is selected."""
        wanted = not self.only or any(name in names for name in self.only)
        fast = not self.quick or QUICK in names
        return wanted and fast and not any(name in names for name in self.skip)

    def unknown(self, known: Collection[str]) -> list[str]:
        """Return the names in `only` and `skip` that are not in `known`, each once."""
        return list(dict.fromkeys(name for name in (*self.only, *self.skip) if name not in known))


def concern(file: Path) -> str:
    """Return the concern of a test file: "dns" for test_dns.py."""
    return file.stem.removeprefix("test_").removesuffix("_test")


def names_of(item: pytest.Item) -> set[str]:
    """Return the names by which a test can be selected."""
    return {concern(item.path), *(mark.name for mark in item.iter_markers())} - _INTERNAL


def known_names(items: Iterable[pytest.Item], broken: Iterable[Path]) -> set[str]:
    """Return every name that selects a test; `broken` are test files that could not be imported."""
    return set(MARKS).union(*(names_of(item) for item in items), (concern(file) for file in broken))
