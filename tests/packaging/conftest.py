"""What is built once for all tests here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.packaging import wheel


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the built wheel and sdist."""
    return wheel.build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a virtual environment with the wheel, which finds the dependencies but not the checkout."""
    return wheel.install(dist, tmp_path_factory.mktemp("installed"))
