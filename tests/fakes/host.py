"""The host, and who runs the tests on it."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import NoReturn

import pytest


def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this process one of a user without a home folder and a name, as in some containers."""

    def unknown(uid: int) -> NoReturn:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr("pwd.getpwuid", unknown)
    for name in ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME", "KUBELAB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)


@contextlib.contextmanager
def listening_to_ctrl_c() -> Iterator[None]:
    """Let Ctrl-C interrupt, also where the tests were started so that it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
