"""A host with a stub `virsh` on PATH."""

from __future__ import annotations

import marshal
import os
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import stubs
from tests.fakes.providers.ids import id_of


class Host:
    """What the stub's libvirt has."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        state = {"networks": {}, "domains": {}, "volumes": {}, "pools": [], "fail": {}, "calls": []}
        self.write({**state, "unknown": []})

    def write(self, state: dict[str, Any]) -> None:
        (self.folder / "state").write_bytes(marshal.dumps(state, 2))

    @property
    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = marshal.loads((self.folder / "state").read_bytes())
        return state

    def domain(self, name: str, state: str = "running", **more: Any) -> str:
        """Define a domain with a qcow2 disk and return its id."""
        disk = self.folder / f"{name}.img"
        disk.write_bytes(b"x" * 8192)
        domain = {"uuid": id_of(name), "state": state, "network": "n", "disk": [str(disk), "qcow2"]}
        domains = {**self.state["domains"], name: domain | more}
        self.write({**self.state, "domains": domains})
        return id_of(name)

    def calls(self, command: str) -> list[str]:
        return [call for call in self.state["calls"] if call.split()[0] == command]


def install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """Put the stub into `folder` and that first on PATH."""
    folder.mkdir()
    stubs.install("virsh", folder / "virsh")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    # libvirt answers in the user's language, and is understood all the same.
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    return Host(folder)
