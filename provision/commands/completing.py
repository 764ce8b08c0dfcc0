"""What a shell is told when the user asks it to complete a word: nodes, snapshots, steps, add-ons.

Nobody sees an error of this, and nothing is changed: where there is no lab there is nothing to complete.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from provision.commands.common import LAB_FILE

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from provision.config.schema import ClusterConfig
    from provision.workspace import Workspace


def nodes(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a node."""
    return _items(_nodes(ctx), incomplete)


def paths(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a node before a colon, or a file of this host."""
    from click.shell_completion import CompletionItem

    on_nodes = _items((f"{name}:" for name in _nodes(ctx)), incomplete)
    return [*on_nodes, CompletionItem(incomplete, type="file")]


def snapshots(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a snapshot."""
    from provision.snapshots.names import is_name

    lab = _lab(ctx)
    names = sorted(file.stem for file in lab[1].snapshots.glob("*.json")) if lab else []
    return _items(filter(is_name, names), incomplete)


def steps(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the id of a step of `up`."""
    from provision.engine.steps import Together
    from provision.steps import UP

    found = [step for item in UP for step in (item.steps if isinstance(item, Together) else (item,))]
    return _items([step.id for step in found], incomplete)


def addons(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of an add-on."""
    from provision.extensions import ADDONS

    return _items(ADDONS, incomplete)


def _nodes(ctx: click.Context) -> list[str]:
    from provision.config.inventory import inventory_of

    lab = _lab(ctx)
    return [node.name for node in inventory_of(lab[0]).nodes] if lab else []


def _lab(ctx: click.Context) -> tuple[ClusterConfig, Workspace] | None:
    """Return the lab of the file that the command line names, None where it cannot be read."""
    from provision.errors import LabError
    from provision.lab.opening import read_lab

    try:
        return read_lab(Path(ctx.params.get("file") or LAB_FILE))
    except (LabError, OSError):
        return None


def _items(names: Iterable[str], incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    return [CompletionItem(name) for name in names if name.startswith(incomplete)]
