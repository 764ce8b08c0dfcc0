from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from provision.errors import Cancelled, LabError
from provision.host import locks
from provision.host.locks import lock_folder, try_lock, wait_for_lock


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KUBELAB_LOCKS", str(tmp_path / "locks"))
    return tmp_path / "locks"


def test_a_lock_is_held_by_one_or_shared_by_many() -> None:
    with try_lock("a") as one, try_lock("a") as two, try_lock("a", shared=True) as three:
        assert (one, two, three) == (True, False, False)
    with try_lock("a", shared=True) as one, try_lock("a", shared=True) as two, try_lock("a") as three:
        assert (one, two, three) == (True, True, False)
    with try_lock("a") as one, try_lock("b") as two:
        assert (one, two) == (True, True)


def test_another_user_can_take_it_whatever_the_umask(folder: Path) -> None:
    before = os.umask(0o077)
    try:
        with try_lock("a"):
            pass
    finally:
        os.umask(before)
    (file,) = folder.iterdir()
    assert file.stat().st_mode & 0o777 == 0o644
    # As a user who may only read it.
    file.chmod(0o444)
    with try_lock("a") as free:
        assert free


def test_a_link_in_place_of_a_lock_is_not_followed(folder: Path, tmp_path: Path) -> None:
    folder.mkdir()
    (folder / "kubelab-a.lock").symlink_to(tmp_path / "target")
    with pytest.raises(LabError, match="cannot be opened") as caught, try_lock("a"):
        pass
    assert "KUBELAB_LOCKS" in caught.value.hint
    assert not (tmp_path / "target").exists()


def test_waiting_is_told_once_and_can_be_given_up() -> None:
    told: list[str] = []
    cancel = threading.Event()
    cancel.set()
    with wait_for_lock("a", lambda: told.append("busy"), cancel):
        assert told == []
        with pytest.raises(Cancelled), wait_for_lock("a", lambda: told.append("busy"), cancel):
            pass
    assert told == ["busy"]


def test_what_is_freed_meanwhile_is_taken() -> None:
    entered = threading.Event()
    free = threading.Event()

    def hold() -> None:
        with try_lock("a"):
            entered.set()
            free.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait()
    with wait_for_lock("a", free.set, threading.Event()):
        thread.join()
    assert free.is_set()


def test_all_users_of_a_host_have_one_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KUBELAB_LOCKS")
    monkeypatch.setattr(locks, "FOLDERS", (str(tmp_path / "none"), str(tmp_path)))
    assert lock_folder() == tmp_path
