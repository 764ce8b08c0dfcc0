"""The metadata file by which Vagrant adds a box under a name and a version."""

from __future__ import annotations

import json

from provision.box.recipe import BoxRecipe
from provision.host.files import write_atomic


def write_catalog(recipe: BoxRecipe) -> None:
    """Write the metadata file beside the .box file."""
    provider = {"name": "libvirt", "url": recipe.file.as_uri()}
    versions = [{"version": recipe.reference.version, "providers": [provider]}]
    write_atomic(
        recipe.folder / "box.json", json.dumps({"name": recipe.name, "versions": versions}, indent=2) + "\n"
    )
