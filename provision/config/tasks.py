"""Scripts and files in lab.yaml that nodes get once they are prepared."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import BeforeValidator, ValidationInfo

from provision.config import values
from provision.config.values import Problems, refusal

MOST = 50
FORMS = "{script: FILE} or {file: FILE, to: PATH ON THE NODE, mode: '0644'}"
_MODE = re.compile(r"0?[0-7]{3}")
_KEYS = ({"script"}, {"file", "to"}, {"file", "to", "mode"})
_LONGEST = 1024


@dataclass(frozen=True)
class Task:
    """A script to run, or a file to write to the path `to`; `source` is the absolute path on the host."""

    source: str
    to: str = ""
    mode: int = 0o644

    @property
    def is_script(self) -> bool:
        """Return whether it is run."""
        return not self.to


def tasks() -> BeforeValidator:
    """Return the validator of a list of scripts and files; lab.yaml's folder is in the context."""
    return BeforeValidator(_tasks)


def _tasks(value: object, info: ValidationInfo) -> tuple[Task, ...]:
    if isinstance(value, tuple):
        return value
    if not isinstance(value, list) or len(value) > MOST:
        raise refusal(value, f"a list of {MOST} at most, each {FORMS}")
    folder = (info.context or {}).get("folder", Path())
    problems: list[tuple[str, str]] = []
    found = []
    for place, entry in enumerate(value):
        wrong = [(f"{place}.{key}" if key else str(place), text) for key, text in _problems(entry)]
        problems += wrong
        if not wrong:
            found.append(_task(entry, folder))
    if problems:
        raise Problems(problems)
    return tuple(found)


def _problems(entry: object) -> Iterator[tuple[str, str]]:
    """Yield key and message of what is wrong with an entry."""
    if not isinstance(entry, dict) or set(entry) not in _KEYS:
        yield "", str(refusal(entry, FORMS))
        return
    for key in ("script", "file"):
        if key in entry and not _is_text(entry[key]):
            yield key, str(refusal(entry[key], "the path of a file"))
    if "to" in entry and not _is_place(entry["to"]):
        yield "to", str(refusal(entry["to"], "an absolute path on the node, such as /etc/motd"))
    mode = entry.get("mode", "0644")
    if not isinstance(mode, str) or not _MODE.fullmatch(mode):
        yield "mode", str(refusal(mode, "three octal digits in quotes, such as '0644'"))


def _task(entry: dict[str, str], folder: Path) -> Task:
    source = str((folder / values.folder(entry.get("script") or entry["file"])).absolute())
    return Task(source, entry.get("to", ""), int(entry.get("mode", "0644"), 8))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST and value.isprintable()


def _is_place(value: object) -> bool:
    if not isinstance(value, str) or not _is_text(value):
        return False
    path = PurePosixPath(value)
    return path.is_absolute() and str(path) == value and ".." not in path.parts and path.name != ""
