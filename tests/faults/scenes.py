"""What may be so already when a command begins: changes of a world that was just reset."""

from __future__ import annotations

import json
import marshal
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.faults.world import World

# What stands for a file of the user that has nothing to do with the lab.
VICTIM = Path("victim.json")


def plant(world: World, files: Mapping[str, str]) -> None:
    """Write files into the lab's folder, and one of the user beside it."""
    (world.lab / VICTIM).write_text("{}")
    for path, content in files.items():
        file = world.lab / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)


def alices(world: World) -> None:
    """Let all there is be made by another folder, which is gone from here with its files."""
    state = world.state
    for name in ("lab-cp1", "lab-w1"):
        state["domains"][name]["source"] = "/home/alice/lab/Vagrantfile"
    (world.bin / "state").write_bytes(marshal.dumps(state, 2))
    for folder in (".vagrant", ".kubelab", "snapshots"):
        shutil.rmtree(world.lab / folder, ignore_errors=True)


def _odd_manifest(change: Callable[[dict[str, Any]], None]) -> Callable[[World], None]:
    def write(world: World) -> None:
        folder = world.lab / "snapshots" / "lab"
        content = json.loads((folder / "old.json").read_text())
        change(content)
        (folder / "old.json").write_text(json.dumps(content))

    return write


def _edit(old: str, new: str) -> Callable[[World], None]:
    def write(world: World) -> None:
        file = world.lab / "lab.yaml"
        file.write_text(file.read_text().replace(old, new))

    return write


def _drop_zone(content: dict[str, Any]) -> None:
    content["time"] = content["time"].removesuffix("Z")


def _be_newer(content: dict[str, Any]) -> None:
    content |= {"schemaVersion": 2, "colour": "green"}


SCENES: Mapping[str, Callable[[World], None]] = {
    "": lambda world: None,
    "aged": lambda world: None,
    "alice's lab": alices,
    "a worker less": _edit("count: 1", "count: 0"),
    "more memory": _edit("memory: 1700MiB", "memory: 2GiB"),
    "a manifest without a time zone": _odd_manifest(_drop_zone),
    "a manifest of a newer kubelab": _odd_manifest(_be_newer),
}
