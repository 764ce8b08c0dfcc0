"""All rows of the sabotage table, and the shipped tests that it has to cover."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from pathlib import Path

import provision.checks
import tests.sabotage
from tests.sabotage.row import Sabotage

NOT_ROWS = {"row", "table", "test_sabotage"}


def rows() -> tuple[Sabotage, ...]:
    """Return the rows of every module here."""
    names = [info.name for info in pkgutil.iter_modules(tests.sabotage.__path__) if info.name not in NOT_ROWS]
    modules = [importlib.import_module(f"tests.sabotage.{name}") for name in names]
    return tuple(row for module in modules for row in module.ROWS)


def shipped() -> frozenset[str]:
    """Return every test function of the shipped suite as FILE::FUNCTION."""
    (folder,) = provision.checks.__path__
    return frozenset(
        f"{file.name}::{node.name}"
        for file in sorted(Path(folder).glob("test_*.py"))
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )
