from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from provision.box.recipe import BoxRecipe
from provision.errors import ConfigError, LabError
from provision.host.files import cache_dir, read_text, write_atomic, write_output
from provision.workspace import Workspace
from tests.fakes.host import homeless

CHECKOUT = Path(__file__).parents[2]


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_write_atomic_says_whether_anything_changed(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "Vagrantfile"
    assert write_atomic(path, "one")
    before = path.stat()
    assert not write_atomic(path, b"one")
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    assert write_atomic(path, "two")
    assert path.read_text() == "two"


def test_write_atomic_sets_the_mode_even_if_the_bytes_are_there(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("same")
    path.chmod(0o644)
    assert not write_atomic(path, "same", mode=0o600)
    assert mode(path) == 0o600


def test_write_atomic_does_not_depend_on_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        write_atomic(tmp_path / "public", "x")
        write_atomic(tmp_path / "private", "x", mode=0o600)
    finally:
        os.umask(old)
    assert (mode(tmp_path / "public"), mode(tmp_path / "private")) == (0o644, 0o600)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "taken"
    target.mkdir()
    (target / "inside").write_text("kept")
    with pytest.raises(OSError, match="directory"):
        write_atomic(target, "new")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
    assert (target / "inside").read_text() == "kept"


def test_an_output_that_is_no_file_is_written_into(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_output(pipe, "one")
    assert (os.read(reader, 10), stat.S_ISFIFO(pipe.stat().st_mode)) == (b"one", True)
    os.close(reader)
    link = tmp_path / "null"
    link.symlink_to("/dev/null")
    write_output(link, "two")
    assert (link.is_symlink(), Path("/dev/null").is_char_device()) == (True, True)


def test_the_output_of_a_program_can_be_written_into(tmp_path: Path) -> None:
    link = tmp_path / "out"
    read, write = os.pipe()
    link.symlink_to(f"/proc/self/fd/{write}")
    write_output(link, "x")
    assert (os.read(read, 10), link.is_symlink()) == (b"x", True)
    os.close(read)
    os.close(write)


def test_a_link_to_a_file_stays_one(tmp_path: Path) -> None:
    target, link = tmp_path / "dotfiles" / "config", tmp_path / "config"
    link.symlink_to(target)
    for content in ("one", "two"):
        write_output(link, content, mode=0o600)
        assert (target.read_text(), link.is_symlink(), mode(target)) == (content, True, 0o600)


def test_the_state_folder_is_private(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, "lab")
    workspace.prepare()
    assert mode(workspace.state) == 0o700
    private = (workspace.ssh_key, workspace.kubeconfig, workspace.run_log, workspace.known_hosts)
    assert all(path.parent == workspace.state for path in private)


def test_two_labs_in_one_folder_share_no_state(tmp_path: Path) -> None:
    one, two = Workspace(tmp_path, "one"), Workspace(tmp_path, "two")
    assert one.state != two.state
    assert one.snapshots != two.snapshots
    with one.lock(), two.lock():
        pass


def test_a_second_command_is_refused_and_the_lock_is_free_afterwards(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, "lab")
    with workspace.lock(), pytest.raises(LabError, match="another kubelab command"), workspace.lock():
        pass
    with workspace.lock():
        pass


def test_labs_of_one_name_in_two_folders_are_not_changed_at_once(tmp_path: Path) -> None:
    one, two = Workspace(tmp_path / "one", "lab"), Workspace(tmp_path / "two", "lab")
    with one.lock():
        with pytest.raises(LabError, match="lab called lab, in another folder"), two.lock():
            pass
        with Workspace(tmp_path / "two", "other").lock():
            pass
    with two.lock():
        pass


def test_the_lock_is_free_after_an_error(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, "lab")
    with pytest.raises(KeyboardInterrupt), workspace.lock():
        raise KeyboardInterrupt
    with workspace.lock():
        pass


def test_the_lock_of_a_process_that_died_is_free(tmp_path: Path) -> None:
    script = (
        "import os, sys\nfrom pathlib import Path\nfrom provision.workspace import Workspace\n"
        "with Workspace(Path(sys.argv[1]), 'lab').lock():\n    os.kill(os.getpid(), 9)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False, cwd=CHECKOUT)
    assert ended.returncode == -9
    with Workspace(tmp_path, "lab").lock():
        pass


def test_the_cache_folder_can_be_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBELAB_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path
    monkeypatch.setenv("KUBELAB_CACHE", "")
    assert cache_dir().name == "kubelab"


def test_a_relative_cache_folder_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBELAB_CACHE", "here")
    assert cache_dir() == tmp_path / "here"
    assert BoxRecipe("1.36.3", "key").reference.url.startswith(f"file://{tmp_path}/here/")


def test_a_user_without_a_home_folder_needs_one_unless_the_cache_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    homeless(monkeypatch)
    with pytest.raises(ConfigError, match="HOME: is not set"):
        cache_dir()
    monkeypatch.setenv("KUBELAB_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path


def test_a_damaged_text_names_its_file_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "id").write_bytes(b"\xff")
    with pytest.raises(LabError, match=f"{tmp_path}/id is damaged") as caught:
        read_text(tmp_path / "id", hint="do this")
    assert caught.value.hint == "do this"
