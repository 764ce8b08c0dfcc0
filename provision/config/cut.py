"""Takes one entry out of a mapping in a YAML text, and leaves every other character of it as it is."""

from __future__ import annotations

from typing import Any

import yaml

from provision.config.loader import LabLoader


def without(text: str, mapping: str, name: str) -> str:
    """Return the text without the entry `name` of a mapping at its top; an empty mapping goes as a whole.

    Raises LookupError where there is none, or where it has no lines of its own and is no part of a line.
    """
    root = yaml.compose(text, LabLoader)
    top, entries = _entry(root, mapping)
    key, value = _entry(entries, name)
    around = entries
    if len(entries.value) == 1:
        around, key, value = root, top, entries
    if around.flow_style:
        return _without_part(text, around, key)
    begin = text.rindex("\n", 0, key.start_mark.index) + 1 if key.start_mark.line else 0
    end = text.find("\n", _end(value))
    return text[:begin] + (text[end + 1 :] if end >= 0 else "")


def _entry(mapping: Any, name: str) -> tuple[Any, Any]:
    """Return key and value; raises LookupError where there is no such key, or no mapping."""
    pairs = mapping.value if isinstance(mapping, yaml.MappingNode) else []
    for key, value in pairs:
        if isinstance(key, yaml.ScalarNode) and key.value == name:
            return key, value
    raise LookupError(name)


def _without_part(text: str, mapping: Any, key: Any) -> str:
    """Return the text without an entry of a mapping in braces, and the comma before it or behind it."""
    at = next(at for at, (other, _) in enumerate(mapping.value) if other is key)
    if at:
        begin, end = mapping.value[at - 1][1].end_mark.index, mapping.value[at][1].end_mark.index
    elif len(mapping.value) > 1:
        begin, end = key.start_mark.index, mapping.value[1][0].start_mark.index
    else:
        raise LookupError(key.value)
    return text[:begin] + text[end:]


def _end(node: Any) -> int:
    """Return where a value ends: a block's own mark lies behind the comments that follow it."""
    inner = node.value if isinstance(node, yaml.CollectionNode) and not node.flow_style else []
    if not inner:
        return int(node.end_mark.index)
    last = inner[-1]
    return _end(last[1] if isinstance(last, tuple) else last)
