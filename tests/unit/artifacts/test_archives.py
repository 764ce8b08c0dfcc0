from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from provision.artifacts.release import archives
from provision.artifacts.release.archives import unpack
from provision.errors import LabError
from tests.fakes.artifacts.mirror import packed

URL = "https://m.test/programs.tgz"
PROGRAMS = {"bridge": b"bridge", "ptp": bytes(range(256)) * 99, "LICENSE": b"text"}
WHOLE = packed(PROGRAMS)


def take(folder: Path, archive: bytes, *names: str) -> None:
    (folder / "archive").write_bytes(archive)
    unpack(folder / "archive", names, folder, URL)


def test_the_programs_that_are_asked_for_can_be_run(tmp_path: Path) -> None:
    take(tmp_path, WHOLE, "bridge", "ptp")
    assert {path.name for path in tmp_path.iterdir()} == {"archive", "bridge", "ptp"}
    for name in ("bridge", "ptp"):
        assert (tmp_path / name).read_bytes() == PROGRAMS[name]
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o755


def test_what_it_does_not_hold_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=rf"^{re.escape(URL)} does not hold host-local, vlan$"):
        take(tmp_path, WHOLE, "bridge", "host-local", "vlan")


@pytest.mark.parametrize("name", ["bridge", "something-else"])
def test_one_that_unpacks_without_end_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(archives, "MOST_MIB", 4)
    bomb = packed({name: bytes(8 << 20), "ptp": b"ptp"})
    assert len(bomb) < 1 << 15
    with pytest.raises(LabError, match="is damaged: it unpacks to more than 4 MiB"):
        take(tmp_path, bomb, "bridge", "ptp")


@pytest.mark.parametrize(
    "archive",
    [
        b"",
        b"<html>Please log in</html>",
        WHOLE[: len(WHOLE) // 2],
        WHOLE[:-8],
        WHOLE[:-8] + bytes(8),
        WHOLE[:99] + bytes(40) + WHOLE[139:],
        gzip.compress(b"no tar" * 999),
    ],
    ids=["empty", "page", "half", "no checksum", "wrong checksum", "changed", "no tar"],
)
def test_a_damaged_one_is_named(tmp_path: Path, archive: bytes) -> None:
    with pytest.raises(LabError, match=rf"^{re.escape(URL)} is damaged: ."):
        take(tmp_path, archive, "bridge", "ptp")
