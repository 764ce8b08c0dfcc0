"""Reads the YAML of lab.yaml, and turns validation errors into messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.alias_generators import to_camel

from provision.config.loader import LabLoader
from provision.config.suggest import did_you_mean
from provision.config.values import Problems, show
from provision.errors import ConfigError

Problem = tuple[str, str]
Sections = Mapping[str, type[BaseModel]]


def read_document(content: bytes | str, path: Path) -> dict[Any, Any]:
    """Return the mapping in the YAML text; raises ConfigError, which names `path`."""
    try:
        document = yaml.load(content, LabLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        raise ConfigError(f"{path}: {line}{getattr(error, 'problem', None) or error}") from error
    except (ValueError, RecursionError, OverflowError) as error:
        raise ConfigError(f"{path}: a value in it cannot be read: {str(error)[:100]}") from error
    if document is None:
        raise ConfigError(f"{path} is empty; allowed: at least `name: lab`", hint="kubelab init")
    if not isinstance(document, dict):
        raise ConfigError(f"{path} contains {show(document)}; allowed: a mapping such as `name: lab`")
    return document


def explain(error: ValidationError, sections: Sections) -> ConfigError:
    """Return one ConfigError for all validation errors.

    `sections` maps the key path of each mapping to its model, whose keys are shown as the allowed ones.
    """
    return config_error(list(_problems(error, sections)))


def config_error(problems: Sequence[Problem]) -> ConfigError:
    """Return one ConfigError that lists all problems, one per line; its key is that of the first."""
    (key, first), *others = problems
    return ConfigError("\n".join([first, *(f"{other}: {message}" for other, message in others)]), key=key)


def _problems(error: ValidationError, sections: Sections) -> Iterator[Problem]:
    def keys(parts: list[str]) -> list[str]:
        # Each entry below `nodes` has the keys that are named for all of them.
        model = sections.get(".".join(parts)) or sections[".".join(parts[:-1])]
        return [info.alias or to_camel(field) for field, info in model.model_fields.items()]

    say: dict[str, Callable[[list[str]], str]] = {
        "extra_forbidden": lambda parts: _unknown(parts[-1], keys(parts[:-1])),
        "missing": lambda parts: f"is missing; allowed: such as `{parts[-1]}: lab`",
        "invalid_key": lambda parts: f"is not a text; allowed: {', '.join(keys(parts[:-1]))}",
    }
    for found in error.errors(include_url=False):
        parts = [part if (part := str(item)) and part.isprintable() else repr(part) for item in found["loc"]]
        path = ".".join(parts)
        cause = found.get("ctx", {}).get("error")
        if isinstance(cause, Problems):
            yield from ((".".join([*parts, key]), message) for key, message in cause.problems)
        elif isinstance(cause, ValueError):
            yield path, str(cause)
        elif found["type"] in say:
            yield path, say[found["type"]](parts)
        else:
            allowed = f"a mapping of {', '.join(keys(parts))}"
            yield path, f"{show(found['input'])} is not allowed; allowed: {allowed}"


def _unknown(key: str, known: list[str]) -> str:
    return f"is an unknown key{did_you_mean(key, known)}; allowed: {', '.join(known)}"
