"""`kubelab box`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from provision.commands.common import Options, common_options, reporting


@click.group("box", short_help="Build and list node boxes.")
def command() -> None:
    """A box is the disk image that every node starts from, with Kubernetes and all container images."""


@command.command("build")
@common_options
def build(options: Options) -> None:
    """Build the box that the lab needs, unless it is in the cache."""
    from provision.box.builder import BoxBuilder
    from provision.box.metadata import write_catalog
    from provision.box.recipe import BoxRecipe
    from provision.lab.artifacts import build, choose_for
    from provision.lab.opening import read_lab
    from provision.report.text import size

    with reporting(options) as report:
        config, workspace = read_lab(options.file)
        artifacts, bundle = build(choose_for(config, workspace, report).artifacts, report, options.cancel)
        recipe = BoxRecipe(artifacts.kubernetes, artifacts.key, config.packages)
        file = BoxBuilder(report, options.cancel).find_or_build(recipe, bundle)
        write_catalog(recipe)
        report.info(f"{recipe.name}: {file} ({size(file.stat().st_size)})")
        report.result({"name": recipe.name, "file": str(file)})


@command.command("list")
@common_options
def list_boxes(options: Options) -> None:
    """List the boxes in the cache."""
    from provision.host.files import cache_dir

    with reporting(options) as report:
        found = []
        for file in sorted(cache_dir().glob("boxes/*/contents.json")):
            box = _read_box(file)
            if box is None:
                report.warn(
                    f"the box in {file.parent} is damaged: remove that folder, then: kubelab box build"
                )
            else:
                found.append(box)
        rows = [[box["name"], box["kubernetes"], str(box["mib"]), box["folder"]] for box in found]
        report.table("Boxes", ["name", "kubernetes", "MiB", "folder"], rows)
        report.result({"boxes": found})


def _read_box(contents: Path) -> dict[str, Any] | None:
    """Return what is shown of the box beside its contents.json; None for a damaged one."""
    import json

    from provision.host.records import read_small

    try:
        fields = json.loads(read_small(contents))
        size = (contents.parent / "kubelab.box").stat().st_size // 2**20
        names = {name: str(fields[name]) for name in ("name", "kubernetes", "bundle")}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return {**names, "folder": str(contents.parent), "mib": size}
