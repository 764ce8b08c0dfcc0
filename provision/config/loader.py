"""The YAML loaders of kubelab: every problem with a text is a yaml.YAMLError that names the line."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import yaml

from provision.config.values import show

MOST_VALUES = 10_000
MOST_CHARACTERS = 2**20
# For what is not written by hand, such as the manifest of a pod network, which has some ten thousands.
MOST_EXPANDED = 1_000_000


class CheckedConstructor:
    """A mix-in for PyYAML's loaders: a value that is not valid for its type is a YAMLError.

    PyYAML itself raises KeyError for `!!bool x`, IndexError for `!!int ''` and so on.
    """

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)  # type: ignore[misc]
        except (yaml.YAMLError, RecursionError, MemoryError):
            raise
        except Exception as error:
            kind = node.tag.rpartition(":")[2]
            raise yaml.constructor.ConstructorError(
                None,
                None,
                f"{show(node.value)} cannot be read as {kind}; allowed: a valid {kind}, or text in quotes",
                node.start_mark,
            ) from error


class BoundedConstructor(CheckedConstructor):
    """A mix-in that also refuses a document whose aliases spell out more values than anybody writes.

    Merge keys copy what they refer to, and whatever is made of the document later may write it all out.
    """

    def construct_document(self, node: yaml.Node) -> Any:
        if _expanded(node) > MOST_EXPANDED:
            problem = f"it has more than {MOST_EXPANDED} values, each alias counted in full"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return super().construct_document(node)  # type: ignore[misc]


def _expanded(root: yaml.Node) -> int:
    """Return how many values a document has with every alias spelled out, counted up to the limit."""
    # id of a node -> its size. One that is met before it is counted contains itself: too large.
    sizes: dict[int, int] = {}
    counted: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting[-1]
        parts = _parts(node)
        if id(node) not in sizes:
            sizes[id(node)] = MOST_EXPANDED + 1
            waiting += [part for part in parts if id(part) not in sizes]
            continue
        waiting.pop()
        if id(node) not in counted:
            sizes[id(node)] = min(1 + sum(sizes[id(part)] for part in parts), MOST_EXPANDED + 1)
            counted.add(id(node))
    return sizes[id(root)]


def _parts(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


class Loader(BoundedConstructor, yaml.SafeLoader):
    """Reads plain data only."""


class LabLoader(Loader):
    """For lab.yaml: duplicate keys are refused, and the number and size of values is limited.

    PyYAML would use the last of two equal keys. An alias counts as much as the value it refers to: a few
    lines of aliases to aliases can expand to more than fits into memory.
    """

    def __init__(self, stream: bytes | str) -> None:
        super().__init__(stream)
        self._composed = 0
        # id of a node -> values and characters in it, once it is complete.
        self._sizes: dict[int, tuple[int, int]] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        is_alias = self.check_event(yaml.AliasEvent)
        self._composed += 1
        self._limit(self._composed, 0, mark)
        node = super().compose_node(parent, index)
        if node is None:
            return None
        if not is_alias:
            self._sizes[id(node)] = self._size(node)
        elif id(node) not in self._sizes:
            raise yaml.MarkedYAMLError(
                problem="an alias refers to a value that contains it", problem_mark=mark
            )
        self._limit(*self._sizes[id(node)], mark)
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[Hashable] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {show(key.value)} is there twice", problem_mark=key.start_mark
                )
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else id(key))
        return node

    def _size(self, node: yaml.Node) -> tuple[int, int]:
        if isinstance(node, yaml.ScalarNode):
            return 1, len(node.value)
        parts = node.value
        if isinstance(node, yaml.MappingNode):
            parts = [part for pair in node.value for part in pair]
        sizes = [self._sizes[id(part)] for part in parts]
        return 1 + sum(values for values, _ in sizes), sum(characters for _, characters in sizes)

    def _limit(self, values: int, characters: int, mark: yaml.Mark) -> None:
        if values > MOST_VALUES or characters > MOST_CHARACTERS:
            what = f"{MOST_VALUES} values" if values > MOST_VALUES else f"{MOST_CHARACTERS} characters"
            raise yaml.MarkedYAMLError(
                problem=f"this is more than {what}; allowed: {what} at most, each alias counted in full",
                problem_mark=mark,
            )
