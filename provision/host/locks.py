"""Locks of the whole host: for what labs of every folder, and of every user, share.

They are the kernel's own (flock), so a command that dies frees them. A reader of the file can take one,
so root and other users share them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from provision.errors import Cancelled, LabError

# The first is used that lets every user make a file which nobody else may remove.
FOLDERS = ("/run/lock", "/tmp")
READABLE = 0o644
_POLL = 0.5
_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK


def lock_folder() -> Path:
    """Return the folder of the locks; the environment variable KUBELAB_LOCKS overrides it."""
    named = os.environ.get("KUBELAB_LOCKS")
    if named:
        return Path(named).absolute()
    return next((Path(name) for name in FOLDERS if _is_for_all(name)), Path(FOLDERS[-1]))


def host_lock(name: str) -> Path:
    """Return the file of a lock of the whole host."""
    return lock_folder() / f"kubelab-{name}.lock"


@contextlib.contextmanager
def try_lock(file: Path, *, shared: bool = False) -> Iterator[bool]:
    """Take the lock of `file` if it is free, and give whether it was; many may hold a `shared` one."""
    with _opened(file) as descriptor:
        yield _take(descriptor, shared=shared)


@contextlib.contextmanager
def wait_for_lock(
    file: Path, tell: Callable[[], None], cancel: threading.Event, *, shared: bool = False
) -> Iterator[None]:
    """Take the lock of `file`, and wait until it is free, of which `tell` tells; raises Cancelled."""
    with _opened(file) as descriptor:
        if not _take(descriptor, shared=shared):
            tell()
            while not _take(descriptor, shared=shared):
                if cancel.wait(_POLL):
                    raise Cancelled("given up")
        yield


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _open(path)
    except OSError as error:
        raise LabError(
            f"the lock {path} cannot be opened: {error.strerror}",
            hint="remove that file, or set KUBELAB_LOCKS to a folder that all users of this host may use",
        ) from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _is_for_all(folder: str) -> bool:
    """Return whether every user may make files in `folder`: in newer systems only root may in /run/lock."""
    wanted = stat.S_ISVTX | stat.S_IWOTH
    try:
        return Path(folder).stat().st_mode & wanted == wanted
    except OSError:
        return False


def _open(path: Path) -> int:
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FLAGS, READABLE)
        # Whatever the umask.
        os.fchmod(descriptor, READABLE)
        return descriptor
    try:
        # Some file systems, such as NFS, want it so.
        return os.open(path, os.O_RDWR | _FLAGS)
    except PermissionError:
        return os.open(path, os.O_RDONLY | _FLAGS)


def _take(descriptor: int, *, shared: bool) -> bool:
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
