from __future__ import annotations

from pathlib import Path

import pytest

from provision.workspace import cache_dir

E2E = Path(__file__).parent / "e2e"


@pytest.fixture(autouse=True)
def own_cache(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Keep every test away from the user's own cache, but those of the real cluster: it is made from it."""
    if E2E in request.path.parents:
        return cache_dir()
    folder = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setenv("KUBELAB_CACHE", str(folder))
    return folder
