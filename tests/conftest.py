from __future__ import annotations

from pathlib import Path

import pytest

from provision.host.files import cache_dir

REAL = {Path(__file__).parent / name for name in ("e2e", "busy")}


@pytest.fixture(autouse=True)
def no_memory_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the tests from taking GiB of this host's memory for machines that are none."""
    monkeypatch.setattr("provision.snapshots.actions.prefaultable_mib", lambda: 0)


@pytest.fixture(autouse=True)
def own_cache(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Keep every test away from the user's own cache, but those of the real cluster: it is made from it.

    And from the internet: what is asked of it goes to a port where nothing listens.
    """
    if not REAL.isdisjoint(request.path.parents):
        return cache_dir()
    folder = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setenv("KUBELAB_CACHE", str(folder))
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name.lower(), raising=False)
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    return folder
