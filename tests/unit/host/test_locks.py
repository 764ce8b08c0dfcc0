from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from provision.errors import Cancelled, LabError
from provision.host import locks
from provision.host.locks import host_lock, lock_folder, try_lock, wait_for_lock


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KUBELAB_LOCKS", str(tmp_path / "locks"))
    return tmp_path / "locks"


def test_a_lock_is_held_by_one_or_shared_by_many() -> None:
    one, two = host_lock("a"), host_lock("b")
    with try_lock(one) as first, try_lock(one) as second, try_lock(one, shared=True) as third:
        assert (first, second, third) == (True, False, False)
    with try_lock(one, shared=True) as first, try_lock(one, shared=True) as second, try_lock(one) as third:
        assert (first, second, third) == (True, True, False)
    with try_lock(one) as first, try_lock(two) as second:
        assert (first, second) == (True, True)


def test_another_user_can_take_it_whatever_the_umask(folder: Path) -> None:
    before = os.umask(0o077)
    try:
        with try_lock(host_lock("a")):
            pass
    finally:
        os.umask(before)
    (file,) = folder.iterdir()
    assert file.stat().st_mode & 0o777 == 0o644


def test_a_reader_can_take_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with try_lock(host_lock("a")):
        pass
    really = os.open

    def only_read(path: Path, flags: int, *mode: int) -> int:
        if flags & os.O_RDWR and not flags & os.O_CREAT:
            raise PermissionError(13, "Permission denied")
        return really(path, flags, *mode)

    monkeypatch.setattr(os, "open", only_read)
    with try_lock(host_lock("a")) as free, try_lock(host_lock("a")) as again:
        assert (free, again) == (True, False)


def test_a_link_in_place_of_a_lock_is_not_followed(folder: Path, tmp_path: Path) -> None:
    folder.mkdir()
    (folder / "kubelab-a.lock").symlink_to(tmp_path / "target")
    with pytest.raises(LabError, match="cannot be opened") as caught, try_lock(host_lock("a")):
        pass
    assert "KUBELAB_LOCKS" in caught.value.hint
    assert not (tmp_path / "target").exists()


def test_waiting_is_told_once_and_can_be_given_up() -> None:
    told: list[str] = []
    cancel = threading.Event()
    cancel.set()
    with wait_for_lock(host_lock("a"), lambda: told.append("busy"), cancel):
        assert told == []
        with pytest.raises(Cancelled), wait_for_lock(host_lock("a"), lambda: told.append("busy"), cancel):
            pass
    assert told == ["busy"]


def test_what_is_freed_meanwhile_is_taken() -> None:
    entered = threading.Event()
    free = threading.Event()

    def hold() -> None:
        with try_lock(host_lock("a")):
            entered.set()
            free.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait()
    with wait_for_lock(host_lock("a"), free.set, threading.Event()):
        thread.join()
    assert free.is_set()


def test_the_folder_is_one_for_all_users_of_a_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KUBELAB_LOCKS")
    only_root, everybody = tmp_path / "lock", tmp_path / "tmp"
    for folder, mode in ((only_root, 0o755), (everybody, 0o1777)):
        folder.mkdir()
        folder.chmod(mode)
    monkeypatch.setattr(locks, "FOLDERS", (str(tmp_path / "none"), str(only_root), str(everybody)))
    assert lock_folder() == everybody
    only_root.chmod(0o1777)
    assert lock_folder() == only_root
