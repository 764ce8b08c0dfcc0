from __future__ import annotations

from pathlib import Path

import pytest

from provision.host import bridges


def test_only_bridges_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("br1/bridge", "br0/bridge", "eth0/device"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setattr(bridges, "LINKS", tmp_path)
    assert bridges.bridges() == ["br0", "br1"]
