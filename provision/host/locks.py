"""Locks of the whole host: for what labs of every folder, and of every user, share.

They are the kernel's own (flock), so a command that dies frees them. A reader of the file can take one,
so root and other users share them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from provision.errors import Cancelled, LabError

# Where every user may make a file that nobody else may remove.
FOLDERS = ("/run/lock", "/tmp")
READABLE = 0o644
_POLL = 0.5
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


def lock_folder() -> Path:
    """Return the folder of the locks; the environment variable KUBELAB_LOCKS overrides it."""
    named = os.environ.get("KUBELAB_LOCKS")
    if named:
        return Path(named).absolute()
    return next((Path(name) for name in FOLDERS if Path(name).is_dir()), Path(FOLDERS[-1]))


@contextlib.contextmanager
def try_lock(name: str, *, shared: bool = False) -> Iterator[bool]:
    """Take a lock if it is free, and give whether it was; many may hold a `shared` one."""
    with _opened(lock_folder() / f"kubelab-{name}.lock") as file:
        yield _take(file, shared=shared)


@contextlib.contextmanager
def wait_for_lock(
    name: str, tell: Callable[[], None], cancel: threading.Event, *, shared: bool = False
) -> Iterator[None]:
    """Take a lock, and wait until it is free, of which `tell` tells; raises Cancelled."""
    with _opened(lock_folder() / f"kubelab-{name}.lock") as file:
        if not _take(file, shared=shared):
            tell()
            while not _take(file, shared=shared):
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


def _open(path: Path) -> int:
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, READABLE)
        # Whatever the umask.
        os.fchmod(descriptor, READABLE)
        return descriptor
    return os.open(path, _FLAGS)


def _take(descriptor: int, *, shared: bool) -> bool:
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
