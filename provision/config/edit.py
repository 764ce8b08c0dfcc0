"""Changes the number of workers in a lab.yaml, and leaves every other character of it as it is.

What a worker that goes has of its own goes with it: lab.yaml may name no node that the lab has not.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from provision.config.cut import without
from provision.config.lab_file import read_lab_file
from provision.config.loader import LabLoader
from provision.config.names import worker_names
from provision.config.schema import ClusterConfig, parse_config
from provision.errors import ConfigError

KEY, NODES = "workers.count", "nodes"


def with_workers(path: Path, count: int) -> tuple[str, ClusterConfig]:
    """Return the text of a lab.yaml with another `workers.count`, and what it describes; writes nothing.

    Raises ConfigError for a count that is not allowed, and for a file in which that is no plain number of its
    own, or a worker that goes has no place of its own below `nodes`: it says what to write.
    """
    content, folder = read_lab_file(path), path.resolve().parent
    config = parse_config(content, path, folder)
    wanted = with_count(config, count)
    try:
        text = content.decode()
        begin, end = _place(text)
    except (UnicodeDecodeError, LookupError):
        raise _unsafe(path, count) from None
    if not path.is_file() or not text[begin:end].isdecimal():
        raise _unsafe(path, count)
    changed = f"{text[:begin]}{count}{text[end:]}"
    for name in config.nodes.keys() - wanted.nodes.keys():
        try:
            changed = without(changed, NODES, name)
        except LookupError:
            raise _unremoved(path, count, name) from None
    found = parse_config(changed, path, folder)
    # What else changes with it, as by a merge, was not asked for.
    if found != wanted:
        raise _unsafe(path, count)
    return changed, found


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


def _unsafe(path: Path, count: int) -> ConfigError:
    return ConfigError(
        f"{path} is not changed: the number is not there, or not in a form that is changed safely",
        key=KEY,
        hint=f"write `workers: {{count: {count}}}`, or `count: {count}` below `workers:`; then: kubelab up",
    )


def _unremoved(path: Path, count: int, name: str) -> ConfigError:
    return ConfigError(
        f"{path} is not changed: what {name} has of its own cannot be taken out of it safely",
        key=f"{NODES}.{name}",
        hint=f"take that out, and write {KEY}: {count}; then: kubelab up",
    )


def _place(text: str) -> tuple[int, int]:
    """Return where the number begins and ends; raises LookupError where there is none."""
    node = yaml.compose(text, LabLoader)
    for key in KEY.split("."):
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        named = {name.value: value for name, value in pairs if isinstance(name, yaml.ScalarNode)}
        node = named[key]
    if node is None:
        raise LookupError(KEY)
    return node.start_mark.index, node.end_mark.index
