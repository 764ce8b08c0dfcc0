"""Changes one number in a lab.yaml, and leaves every other character of it as it is."""

from __future__ import annotations

from pathlib import Path

import yaml

from provision.config.lab_file import read_lab_file
from provision.config.loader import LabLoader
from provision.config.schema import ClusterConfig, Workers, parse_config
from provision.errors import ConfigError, LabError
from provision.host.files import write_output

KEY = "workers.count"


def with_workers(path: Path, count: int) -> tuple[str, ClusterConfig]:
    """Return the text of a lab.yaml with another `workers.count`, and what it describes; writes nothing.

    Raises ConfigError for a count that is not allowed, and for a file in which that is not one number of its own:
    it says which line to write.
    """
    content, folder = read_lab_file(path), path.resolve().parent
    wanted = _with_count(parse_config(content, path, folder), count)
    try:
        text = content.decode()
        begin, end = _place(text)
        changed = f"{text[:begin]}{count}{text[end:]}"
        # An alias, a merge or a tag may have made it another value than it looks.
        if path.is_file() and parse_config(changed, path, folder) == wanted:
            return changed, wanted
    except (UnicodeDecodeError, LookupError, LabError):
        pass
    raise ConfigError(
        f"{path} is not changed: the number is not there, or not in a form that can be changed safely",
        key=KEY,
        hint=f"write `workers: {{count: {count}}}`, or the line `count: {count}` below `workers:`,"
        " then: kubelab up",
    )


def write(path: Path, text: str) -> None:
    """Write a changed lab.yaml in place of the old one, whole or not at all; a link stays a link."""
    write_output(path, text, mode=path.stat().st_mode & 0o777)


def _with_count(config: ClusterConfig, count: int) -> ClusterConfig:
    """Return `config` with other workers, all limits checked."""
    try:
        Workers(count=count)
    except ValueError:
        raise ConfigError(f"{count} is not allowed; allowed: 0 to 50", key=KEY) from None
    return config.model_copy(update={"workers": config.workers.model_copy(update={"count": count})})


def _place(text: str) -> tuple[int, int]:
    """Return where the number begins and ends; raises LookupError where there is none."""
    document = yaml.compose(text, LabLoader)
    for key in KEY.split("."):
        pairs = document.value if isinstance(document, yaml.MappingNode) else []
        found = [value for name, value in pairs if isinstance(name, yaml.ScalarNode) and name.value == key]
        if not found:
            raise LookupError(key)
        (document,) = found
    return document.start_mark.index, document.end_mark.index
