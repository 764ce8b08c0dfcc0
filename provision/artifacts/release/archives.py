"""Programs that are published together, in a packed archive."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Iterable
from pathlib import Path

from provision.artifacts.images.archive import EXECUTABLE
from provision.errors import LabError

CHUNK = 1 << 20
DAMAGE = (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError)
HINT = "it has its published checksum, so the server itself holds a damaged file: tell its owner"


def unpack(archive: Path, names: Iterable[str], folder: Path, url: str) -> None:
    """Write the programs `names` of the archive that came from `url` into `folder`.

    Raises LabError naming `url` if the archive is damaged or does not hold them all.
    """
    missing = set(names)
    try:
        with gzip.open(archive) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
            for member in tar:
                name = Path(member.name).name
                if member.isfile() and name in missing:
                    content = tar.extractfile(member)
                    assert content is not None
                    (folder / name).write_bytes(content.read())
                    (folder / name).chmod(EXECUTABLE)
                    missing.remove(name)
            # Only at its end does gzip say whether all of it was right.
            while stream.read(CHUNK):
                pass
    except DAMAGE as error:
        raise LabError(f"{url} is damaged: {error}", hint=HINT) from error
    if missing:
        raise LabError(f"{url} does not hold {', '.join(sorted(missing))}", hint=HINT)
