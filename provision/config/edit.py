"""Changes one number in a lab.yaml, and leaves every other character of it as it is."""

from __future__ import annotations

from pathlib import Path

import yaml

from provision.config.lab_file import read_lab_file
from provision.config.loader import LabLoader
from provision.config.schema import ClusterConfig, parse_config
from provision.errors import ConfigError

KEY = "workers.count"


def with_workers(path: Path, count: int) -> tuple[str, ClusterConfig]:
    """Return the text of a lab.yaml with another `workers.count`, and what it describes; writes nothing.

    Raises ConfigError for a count that is not allowed, and for a file in which that is no plain number of its
    own: it says which line to write.
    """
    content, folder = read_lab_file(path), path.resolve().parent
    config = parse_config(content, path, folder)
    try:
        text = content.decode()
        begin, end = _place(text)
    except (UnicodeDecodeError, LookupError):
        raise _unsafe(path, count) from None
    if not path.is_file() or not text[begin:end].isdecimal():
        raise _unsafe(path, count)
    changed = f"{text[:begin]}{count}{text[end:]}"
    found = parse_config(changed, path, folder)
    # What else changes with it, as by a merge, was not asked for.
    if found != config.model_copy(update={"workers": config.workers.model_copy(update={"count": count})}):
        raise _unsafe(path, count)
    return changed, found


def _unsafe(path: Path, count: int) -> ConfigError:
    return ConfigError(
        f"{path} is not changed: the number is not there, or not in a form that is changed safely",
        key=KEY,
        hint=f"write `workers: {{count: {count}}}`, or `count: {count}` below `workers:`; then: kubelab up",
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
