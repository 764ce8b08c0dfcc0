"""A cluster file of another tool: what is taken out of it, and what is left."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any


class Source:
    """A mapping whose values are taken by their paths, such as "networking.podSubnet"."""

    def __init__(self, document: Mapping[Any, Any]) -> None:
        self._document = document
        self._taken: set[str] = set()

    def take(self, path: str) -> Any:
        """Return the value at `path`, None without one; it does not count as left any more."""
        self._taken.add(path)
        value: Any = self._document
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return value

    def left(self, whole: Collection[str]) -> Iterator[str]:
        """Yield the paths of what nobody took and is not empty.

        A mapping at a path of `whole` is one, if nothing in it was taken.
        """
        yield from self._left(self._document, "", whole)

    def _left(self, value: object, path: str, whole: Collection[str]) -> Iterator[str]:
        if path in self._taken or value in (None, "", [], {}):
            return
        touched = any(taken.startswith(f"{path}.") for taken in self._taken)
        if isinstance(value, Mapping) and (touched or path not in whole):
            for key, inner in value.items():
                yield from self._left(inner, f"{path}.{key}" if path else str(key), whole)
        else:
            yield path
