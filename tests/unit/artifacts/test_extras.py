from __future__ import annotations

import threading

import pytest

from provision.artifacts.extras import open_web
from provision.artifacts.sites import Sites
from provision.report.base import RecordingReporter

URLS = ("https://dl.k8s.io/release", "https://github.com/x")


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ("http://mirror.test/k8s", ["http://mirror.test is asked over http"]),
        ("https://mirror.test/k8s", []),
        ("http://127.0.0.1:8000", []),
        ("http://localhost/k8s", []),
        ("", []),
    ],
)
def test_a_mirror_that_anybody_on_the_way_can_change_is_told(files: str, told: list[str]) -> None:
    report = RecordingReporter()
    open_web(Sites(files=files), report, threading.Event(), *URLS)
    assert [event["text"][: len(words)] for event, words in zip(report.of("warn"), told, strict=True)] == told
