"""Describes tests and their failures for people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from provision.errors import LabError, last_lines

DETAIL_LINES = 5
_NODE_FIXTURES = ("node", "worker")
_RAISED_BY_CHECKS = ("AssertionError: ", "Failed: ", "Exception: ")


def label(path: Path, root: Path, folders: Sequence[Path]) -> str:
    """Return a file's name to show: relative to `root`, or to the parent of one of `folders`."""
    if path.is_relative_to(root):
        return path.relative_to(root).as_posix()
    for folder in folders:
        if path.is_relative_to(folder):
            return (folder.name / path.relative_to(folder)).as_posix()
    return path.name


def node_of(item: pytest.Item) -> str:
    """Return the node that a test parametrised over nodes runs for, or an empty string."""
    callspec = getattr(item, "callspec", None)
    if callspec is None:
        return ""
    for fixture in _NODE_FIXTURES:
        if fixture in callspec.params:
            value = callspec.params[fixture]
            name = getattr(value, "name", value)
            return name if isinstance(name, str) else str(callspec.id)
    return ""


def sentence(item: pytest.Item) -> str:
    """Return a test's name as a sentence: "swap is off" for test_swap_is_off, with further parameters."""
    name = getattr(item, "originalname", None) or item.name
    words = str(name).removeprefix("test_").replace("_", " ")
    callspec = getattr(item, "callspec", None)
    rest = str(callspec.id).replace(node_of(item), "").strip("-") if callspec is not None else ""
    return f"{words} [{rest}]" if rest else words


def look_of(item: pytest.Item) -> str:
    """Return the text of a test's mark `look`: where to look when it fails; it may contain {node}."""
    mark = item.get_closest_marker("look")
    return str(mark.args[0]) if mark is not None and mark.args else ""


def why_failed(report: pytest.TestReport | pytest.CollectReport, error: BaseException | None) -> str:
    """Return why a test failed: the message of its assertion, else what pytest reports."""
    if isinstance(error, LabError):
        return "\n".join([error.message, last_lines(error.details, DETAIL_LINES)]).strip()
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is None:
        return _from_traceback(str(report.longrepr))
    message = str(crash.message)
    for kind in _RAISED_BY_CHECKS:
        message = message.removeprefix(kind)
    # Below the assertion's message, which it indents, pytest adds the values it compared.
    told = message.partition("\nassert ")[0] or message
    return told.replace("\n  ", "\n").strip()


def why_skipped(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Return why a test was skipped."""
    if getattr(report, "wasxfail", ""):
        return f"expected to fail: {report.wasxfail}"
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    return str(reason).removeprefix("Skipped: ")


def _from_traceback(text: str) -> str:
    errors = [line[1:].strip() for line in text.splitlines() if line.startswith("E ")]
    return last_lines("\n".join(errors) or text, DETAIL_LINES)
