from __future__ import annotations

from pathlib import Path

import pytest

from provision.doctor.apt_sources import source_of, sources
from provision.doctor.packages import probe_qemu
from tests.fakes.doctor import DEB822, MADISON, FakeTools, dpkg, host


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.list", "deb http://m.example/d bookworm main\n", "URIs: http://m.example/d"),
        (
            "a.list",
            "deb [arch=amd64 signed-by=/k.gpg] http://m.example/d bookworm main\n",
            "Signed-By: /k.gpg",
        ),
        ("a.sources", DEB822.replace("/usr/share/keyrings/some.gpg", "\n KEY1\n KEY2"), " KEY1\n KEY2"),
    ],
)
def test_both_kinds_of_source_are_understood(tmp_path: Path, name: str, text: str, expected: str) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / name).write_text(text)
    own = source_of("bookworm", sources(tmp_path))
    assert own is not None
    assert expected in own.with_suite("bookworm-backports")


def test_a_password_in_a_source_stays_unreadable_to_others(etc: Path) -> None:
    (etc / "etc/apt/sources.list.d/debian.sources").write_text(DEB822.replace("http://", "http://me:secret@"))
    tools = FakeTools({**dpkg(), "apt-cache madison": MADISON})
    assert probe_qemu(host(tools, etc)).fixes[0].argv[:3] == ("install", "-m", "600")


def test_a_source_with_odd_bytes_and_quotes_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_bytes(
        b"# caf\xe9\ndeb [arch='amd64] http://m.example/d bookworm main\n"
    )
    own = source_of("bookworm", sources(tmp_path))
    assert own is not None
    assert own.uris == "http://m.example/d"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.list", "# deb http://m.example/d bookworm main\ndeb-src http://m.example/d bookworm main\n"),
        ("a.sources", DEB822.replace("Components: main contrib", "Enabled: no")),
        ("a.sources.disabled", DEB822),
    ],
)
def test_sources_that_apt_ignores_are_ignored(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / name).write_text(text)
    assert source_of("bookworm", sources(tmp_path)) is None
