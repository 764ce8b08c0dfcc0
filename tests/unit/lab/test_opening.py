from __future__ import annotations

import threading
from pathlib import Path

import pytest

from provision.config.schema import parse_config
from provision.errors import LabError
from provision.lab import opening
from provision.report.base import RecordingReporter
from provision.report.tee import TeeReporter
from provision.workspace import Workspace


def test_from_its_opening_on_a_labs_passwords_are_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*unused: object) -> None:
        raise LabError("far enough")

    monkeypatch.setattr(opening, "VagrantMachines", stop)
    config = parse_config("{name: lab, provider: libvirt, proxy: 'http://me:hunter2-x@proxy.test:1'}")
    screen = RecordingReporter()
    report = TeeReporter(screen)
    with pytest.raises(LabError, match="far enough"):
        opening.open_lab(config, Workspace(tmp_path, "lab"), report, threading.Event())
    report.info("they say hunter2-x")
    assert screen.of("info") == [{"text": "they say [redacted]"}]
