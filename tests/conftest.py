from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest
from hypothesis import settings

from provision.host.files import cache_dir

# No test asserts a time.
settings.register_profile("kubelab", deadline=None)
settings.load_profile("kubelab")

REAL_NAMES = ("e2e", "e2e_addons", "e2e_faults", "e2e_life", "busy", "sabotage")
REAL = {Path(__file__).parent / name for name in REAL_NAMES}


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
    # The locks of this host are for its real labs.
    monkeypatch.setenv("KUBELAB_LOCKS", str(folder / "locks"))
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name.lower(), raising=False)
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    return folder


@pytest.fixture(scope="session")
def no_programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the programs that make machines, each of which refuses to."""
    folder = tmp_path_factory.mktemp("no-programs")
    for name in ("virsh", "vagrant", "VBoxManage"):
        program = folder / name
        program.write_text(f"#!/bin/sh\necho 'a test asked the {name} of this host' >&2\nexit 97\n")
        program.chmod(0o755)
    return folder


@pytest.fixture(autouse=True)
def no_machines(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, no_programs: Path) -> None:
    """Keep every test away from this host's machines, but those of the real cluster."""
    if REAL.isdisjoint(request.path.parents):
        monkeypatch.setenv("PATH", f"{no_programs}:{os.environ['PATH']}")


def pytest_collection_finish() -> None:
    """Leave what was imported and collected out of every later look for garbage: a twentieth of the time."""
    gc.collect()
    gc.freeze()
