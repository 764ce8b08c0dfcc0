"""Reads a lab.yaml from disk or a pipe, up to a limit."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from provision.errors import ConfigError

LARGEST_MIB = 1
_ALLOWED = "allowed: a regular file, or a pipe given to this command such as /dev/stdin"
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
}


def read_lab_file(path: Path) -> bytes:
    """Return the content; raises ConfigError when it is not a regular file or larger than 1 MiB."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode) and not _is_given_pipe(found):
            kind = _KINDS.get(stat.S_IFMT(found.st_mode), "not a regular file")
            raise ConfigError(f"{path} cannot be read: it is {kind}; {_ALLOWED}")
        with path.open("rb") as file:
            content = file.read(LARGEST_MIB * 2**20 + 1)
    except FileNotFoundError:
        raise ConfigError(f"there is no {path}", hint="kubelab init") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > LARGEST_MIB * 2**20:
        raise ConfigError(f"{path} is too large; allowed: {LARGEST_MIB} MiB at most")
    return content


def _is_given_pipe(found: os.stat_result) -> bool:
    """Return whether this is a pipe that the program was started with, as by `-f <(...)`.

    Reading any other pipe might never end, because nobody may be writing to it.
    """
    return stat.S_ISFIFO(found.st_mode) and any(os.path.samestat(found, mine) for mine in _open_descriptors())


def _open_descriptors() -> Iterator[os.stat_result]:
    for number in Path("/dev/fd").iterdir():
        # The descriptor that read the folder is in the list, but closed by now.
        with contextlib.suppress(OSError):
            yield os.fstat(int(number.name))
