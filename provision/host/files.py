"""Files on the host: written whole or not at all, and the cache folder."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

import platformdirs

PRIVATE = 0o600
PUBLIC = 0o644


def cache_dir() -> Path:
    """Return kubelab's cache folder; the environment variable KUBELAB_CACHE overrides it."""
    return Path(os.environ.get("KUBELAB_CACHE") or platformdirs.user_cache_dir("kubelab"))


def write_atomic(path: Path, content: str | bytes, *, mode: int = PUBLIC) -> bool:
    """Write `content` to `path` unless it is there already; return whether anything changed.

    The file is complete or absent, never half written, and never readable beyond `mode`.
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
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise
    return True
