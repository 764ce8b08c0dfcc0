"""Programs that are published together, in a packed archive."""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
import zlib
from collections.abc import Iterable
from pathlib import Path

from provision.artifacts.images.archive import EXECUTABLE
from provision.errors import LabError

CHUNK = 1 << 20
# What a program has at most, and all in one archive together: more than twice the largest that is published.
MOST_MIB = 512
DAMAGE = (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError)
HINT = "it has its published checksum, so the server itself holds a damaged file: tell its owner"


def unpack(archive: Path, names: Iterable[str], folder: Path, url: str) -> None:
    """Write the programs `names` of the archive that came from `url` into `folder`.

    Raises LabError naming `url` if the archive is damaged or does not hold them all.
    """
    missing = set(names)
    try:
        with (
            gzip.open(archive) as packed,
            _Bounded(packed) as stream,
            tarfile.open(fileobj=stream, mode="r|") as tar,
        ):
            for member in tar:
                name = Path(member.name).name
                if member.isfile() and name in missing:
                    content = tar.extractfile(member)
                    assert content is not None
                    with content, (folder / name).open("wb") as file:
                        shutil.copyfileobj(content, file, CHUNK)
                    (folder / name).chmod(EXECUTABLE)
                    missing.remove(name)
            # Only at its end does gzip say whether all of it was right.
            while stream.read(CHUNK):
                pass
    except DAMAGE as error:
        raise LabError(f"{url} is damaged: {error}", hint=HINT) from error
    if missing:
        raise LabError(f"{url} does not hold {', '.join(sorted(missing))}", hint=HINT)


class _Bounded(io.RawIOBase):
    """Reads what unpacks from a few MiB only up to what a real archive has: it can be made without end."""

    def __init__(self, packed: gzip.GzipFile) -> None:
        self._packed = packed
        self._left = MOST_MIB << 20

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        content = self._packed.read(min(size, self._left + 1) if size >= 0 else self._left + 1)
        self._left -= len(content)
        if self._left < 0:
            raise tarfile.ReadError(f"it unpacks to more than {MOST_MIB} MiB")
        return content
