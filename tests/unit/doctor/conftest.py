from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.doctor import DEB822


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    folder = tmp_path / "etc" / "apt" / "sources.list.d"
    folder.mkdir(parents=True)
    (folder / "debian.sources").write_text(DEB822)
    return tmp_path
