"""Changes one value in a lab.yaml, and leaves every other character of it as it is.

What a worker that goes has of its own goes with it: lab.yaml may name no node that the lab has not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import yaml

from provision.config.addons import KEY as ADDONS
from provision.config.cut import without
from provision.config.lab_file import read_lab_file
from provision.config.loader import LabLoader
from provision.config.names import worker_names
from provision.config.schema import ClusterConfig, parse_config
from provision.errors import ConfigError

KEY, NODES = "workers.count", "nodes"
# A list in brackets, or a word such as none; and a list with an item a line. No anchor, tag or comment.
_FLOW = re.compile(r"\[[\w\s,'\"-]*\]|[a-z]+")
_BLOCK = re.compile(r"(- [\w'\"-]+\s*)+")
_COMMENTS = re.compile(r"(\s*#[^\n]*)*\s*")


def with_workers(path: Path, count: int) -> tuple[str, ClusterConfig]:
    """Return the text of a lab.yaml with another `workers.count`, and what it describes; writes nothing.

    Raises ConfigError for a count that is not allowed, and for a file in which that is no plain number of its
    own, or a worker that goes has no place of its own below `nodes`: it says what to write.
    """
    line = f"`workers: {{count: {count}}}`, or `count: {count}` below `workers:`"
    unsafe = _unsafe(path, KEY, "number", line)
    content, config = _read(path)
    wanted = with_count(config, count)
    try:
        text = content.decode()
        begin, end = _place(text, KEY)
    except (UnicodeDecodeError, LookupError):
        raise unsafe from None
    if not path.is_file() or not text[begin:end].isdecimal():
        raise unsafe
    changed = f"{text[:begin]}{count}{text[end:]}"
    for name in config.nodes.keys() - wanted.nodes.keys():
        try:
            changed = without(changed, NODES, name)
        except LookupError:
            raise _unremoved(path, count, name) from None
    return _checked(path, changed, wanted, unsafe)


def with_count(config: ClusterConfig, count: int) -> ClusterConfig:
    """Return the lab with another number of workers, and without what those that go have of their own."""
    changed = config.model_copy(update={"workers": config.workers.model_copy(update={"count": count})})
    workers = worker_names(config.name)
    kept = {
        name: node
        for name, node in config.nodes.items()
        if not workers.fullmatch(name) or int(name.rpartition("w")[2]) <= count
    }
    return changed.model_copy(update={NODES: kept})


def with_addons(path: Path, names: Sequence[str]) -> tuple[str, ClusterConfig]:
    """Return the text of a lab.yaml with other `addons`, and what it describes; writes nothing.

    Raises ConfigError for a file in which they are no plain list of their own: it says which line to write.
    """
    listed = f"[{', '.join(names)}]"
    unsafe = _unsafe(path, ADDONS, "list", f"`{ADDONS}: {listed}`")
    content, config = _read(path)
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise unsafe from None
    if not path.is_file():
        raise unsafe
    wanted = config.model_copy(update={"addons": tuple(names)})
    try:
        begin, end = _place(text, ADDONS)
    except LookupError:
        return _checked(path, _with_line(text, f"{ADDONS}: {listed}"), wanted, unsafe)
    written = _in_its_form(text, begin, end, names)
    if written is None:
        raise unsafe
    return _checked(path, text[:begin] + written + text[end:], wanted, unsafe)


def _with_line(text: str, line: str) -> str:
    newline = "\r\n" if "\r\n" in text else "\n"
    return f"{text}{'' if text.endswith(newline) else newline}{line}{newline}"


def _in_its_form(text: str, begin: int, end: int, names: Sequence[str]) -> str | None:
    """Return the list of `names` in the form of what stands at a place; None where that is not safe."""
    there = text[begin:end]
    if _FLOW.fullmatch(there):
        return f"[{', '.join(names)}]"
    items = _BLOCK.match(there)
    if items is None or not names:
        return None
    rest = there[items.end() :]
    # YAML counts comments below a list to it; one beside an item is about that item.
    if rest and not (items[0].rstrip(" ").endswith("\n") and _COMMENTS.fullmatch(rest)):
        return None
    column = begin - (text.rfind("\n", 0, begin) + 1)
    between = ("\r\n" if "\r\n" in there else "\n") + " " * column
    return between.join(f"- {name}" for name in names) + items[0][len(items[0].rstrip()) :] + rest


def _read(path: Path) -> tuple[bytes, ClusterConfig]:
    content = read_lab_file(path)
    return content, parse_config(content, path, path.resolve().parent)


def _checked(
    path: Path, changed: str, wanted: ClusterConfig, unsafe: ConfigError
) -> tuple[str, ClusterConfig]:
    """Return a changed text and what it describes; raises `unsafe` where that is not what is `wanted`.

    What else changes with it, as by a merge, was not asked for.
    """
    try:
        found = parse_config(changed, path, path.resolve().parent)
    except ConfigError as error:
        # A value that is not allowed has its key; a text that is no lab.yaml any more has none.
        raise (error if error.key else unsafe) from None
    if found != wanted:
        raise unsafe
    return changed, found


def _unsafe(path: Path, key: str, what: str, line: str) -> ConfigError:
    return ConfigError(
        f"{path} is not changed: the {what} is not there, or not in a form that is changed safely",
        key=key,
        hint=f"write {line}; then: kubelab up",
    )


def _unremoved(path: Path, count: int, name: str) -> ConfigError:
    return ConfigError(
        f"{path} is not changed: what {name} has of its own cannot be taken out of it safely",
        key=f"{NODES}.{name}",
        hint=f"take that out, and write {KEY}: {count}; then: kubelab up",
    )


def _place(text: str, path: str) -> tuple[int, int]:
    """Return where the value at a path of keys begins and ends; raises LookupError where there is none."""
    node = yaml.compose(text, LabLoader)
    for key in path.split("."):
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        named = {name.value: value for name, value in pairs if isinstance(name, yaml.ScalarNode)}
        node = named[key]
    if node is None:
        raise LookupError(path)
    return node.start_mark.index, node.end_mark.index
