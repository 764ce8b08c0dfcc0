"""The host, and who runs the tests on it."""

from __future__ import annotations

from typing import NoReturn

import pytest


def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this process one of a user without a home folder and a name, as in some containers."""

    def unknown(uid: int) -> NoReturn:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr("pwd.getpwuid", unknown)
    for name in ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME", "KUBELAB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
