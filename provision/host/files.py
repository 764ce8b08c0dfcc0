"""Files on the host: atomic writes, the home folder and the cache folder."""

from __future__ import annotations

import contextlib
import glob
import os
import stat
import tempfile
from pathlib import Path
from typing import BinaryIO

import platformdirs

from provision.errors import ConfigError, LabError

PRIVATE = 0o600
PUBLIC = 0o644


def home_dir() -> Path:
    """Return the user's home folder; raises ConfigError for a user who has none, as in some containers."""
    try:
        return Path.home()
    except RuntimeError:
        raise ConfigError(
            "is not set, and this user has no entry in /etc/passwd",
            key="HOME",
            hint="set the environment variable HOME to a folder that you may write to",
        ) from None


def cache_dir() -> Path:
    """Return kubelab's cache folder; the environment variable KUBELAB_CACHE overrides it."""
    named = os.environ.get("KUBELAB_CACHE")
    if not named and not os.environ.get("XDG_CACHE_HOME"):
        # Without a home folder platformdirs takes `~` for the name of one.
        home_dir()
    return Path(named or platformdirs.user_cache_dir("kubelab")).absolute()


def open_regular(path: Path, flags: int = 0) -> BinaryIO:
    """Open a file to read it, with more `flags` of os.open; raises OSError, also for what is no regular file.

    Where a folder came from somebody else, a named pipe in it would be waited for without end.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | flags)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise OSError(0, "it is not a regular file")


def read_text(path: Path, *, hint: str) -> str:
    """Return the text of a file that kubelab or the user wrote; raises LabError when it is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise LabError(f"{path} is damaged: it is not text in UTF-8", hint=hint) from None


def write_atomic(path: Path, content: str | bytes, *, mode: int = PUBLIC) -> bool:
    """Write `content` to `path` unless it is there already; return whether the content changed.

    The file is never partly written, and never has wider permissions than `mode`.
    """
    wanted = content.encode() if isinstance(content, str) else content
    if path.is_file() and path.read_bytes() == wanted:
        path.chmod(mode)
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(wanted)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
        _sync(path.parent)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
        if isinstance(error, OSError) and error.filename is None:
            # A disk that is full does not say of which file.
            error.filename = str(path)
        raise
    return True


def remove_with_leftovers(path: Path) -> None:
    """Remove a file, and what `write_atomic` left of it if it was killed."""
    path.unlink(missing_ok=True)
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*"):
        leftover.unlink(missing_ok=True)


def write_output(path: Path, content: str | bytes, *, mode: int = PUBLIC) -> None:
    """Write `content` where the user wants it: as `write_atomic`, but nothing that is no file is replaced.

    A device, a pipe or /dev/stdout is written into, and a link stays a link.
    """
    if _is_special(path):
        with path.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
    else:
        write_atomic(Path(os.path.realpath(path)), content, mode=mode)


def _is_special(path: Path) -> bool:
    """Return whether there is something that is neither a file nor a folder."""
    try:
        kind = path.stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(kind) and not stat.S_ISDIR(kind)


def _sync(folder: Path) -> None:
    """Let the names in a folder be on the disk too: without it a power loss may take a new file away."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # Some file systems cannot, and need not.
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
