from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from provision.host.files import write_atomic
from provision.host.records import read_small


def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="not a regular file"):
        read_small(tmp_path / "pipe")


def test_a_file_that_grows_without_end_is_not_read_whole(tmp_path: Path) -> None:
    file = tmp_path / "large"
    with file.open("wb") as out:
        out.truncate(2**40)
    with pytest.raises(ValueError, match="larger than 1 MiB"):
        read_small(file)


def test_a_folder_and_a_device_are_no_files(tmp_path: Path) -> None:
    for place in (tmp_path, Path("/dev/zero")):
        with pytest.raises(ValueError, match="not a regular file"):
            read_small(place)


def test_a_new_name_is_on_the_disk_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    write_atomic(tmp_path / "journal.json", "{}")
    assert synced[-1] == str(tmp_path)
    assert len(synced) == 2


def test_a_full_disk_says_of_which_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        write_atomic(tmp_path / "journal.json", "{}")
    assert caught.value.filename == str(tmp_path / "journal.json")
    assert list(tmp_path.iterdir()) == []
