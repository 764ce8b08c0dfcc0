"""Writes files to a node, all in one round trip: in an emulated guest each round trip costs a second."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass

PRIVATE = 0o600
PUBLIC = 0o644


@dataclass(frozen=True)
class File:
    """A file for a node."""

    content: str
    mode: int = PUBLIC


def unpack_script(files: Mapping[str, File], *, keep: bool = False) -> str:
    """Return a script that writes `files` (absolute path -> File), all through one tar.

    With `keep` those that are there already stay as they are.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, file in sorted(files.items()):
            entry = tarfile.TarInfo(path.lstrip("/"))
            payload = file.content.encode()
            entry.size, entry.mode = len(payload), file.mode
            tar.addfile(entry, io.BytesIO(payload))
    text = base64.encodebytes(gzip.compress(buffer.getvalue(), mtime=0)).decode()
    existing = "--skip-old-files" if keep else "--unlink-first"
    return f"base64 -d <<'FILES' | tar -xzf - -C / --no-same-owner {existing}\n{text}FILES\n"


def sum_of(file: File) -> str:
    """Return the digest that sha256sum has for a file."""
    return hashlib.sha256(file.content.encode()).hexdigest()


def same_files_script(files: Mapping[str, File]) -> str:
    """Return a script that fails unless all of `files` are on the node with the same content."""
    if not files:
        # sha256sum fails where it has nothing to check.
        return ":\n"
    sums = "".join(f"{sum_of(file)}  {path}\n" for path, file in sorted(files.items()))
    return f"sha256sum --check --status - <<'SUMS'\n{sums}SUMS\n"
