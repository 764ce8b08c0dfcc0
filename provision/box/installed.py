"""The Debian packages in a root filesystem's tar, by what dpkg says in it."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

STATUS = "var/lib/dpkg/status"
_FIELD = re.compile(r"[\w-]+: ")


def installed_in(base: Path) -> dict[str, str]:
    """Return name -> version of the packages in a tar; none where dpkg is not in it."""
    fields = [_fields(paragraph) for paragraph in _status(base).split("\n\n")]
    return {each["Package"]: each.get("Version", "") for each in fields if "Package" in each}


def _status(base: Path) -> str:
    with tarfile.open(base, "r:") as tar:
        for member in tar:
            if member.name.removeprefix("./") == STATUS:
                file = tar.extractfile(member)
                return file.read().decode() if file else ""
    return ""


def _fields(paragraph: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in paragraph.splitlines() if _FIELD.match(line))
