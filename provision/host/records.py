"""Small JSON files in which kubelab remembers what it did, read as the input that they are.

They lie beside a lab.yaml, and that folder may have come from somebody else, or from a newer kubelab.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from provision.errors import MadeByNewer
from provision.host.files import open_regular

LARGEST_MIB = 1
# The keys by which such a file says how it is to be read.
VERSION_KEYS = ("schemaVersion", "format")

M = TypeVar("M", bound=BaseModel)


def read_record(path: Path, model: type[M]) -> M:
    """Return what the file says.

    Raises FileNotFoundError, MadeByNewer, and ValueError with what is wrong with it.
    """
    content = read_small(path)
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        problems = error.errors(include_url=False)
    for problem in problems:
        place, found = problem["loc"], problem["input"]
        newer = place[-1:] and place[-1] in VERSION_KEYS and isinstance(found, int) and found > 1
        if newer or problem["type"] == "extra_forbidden":
            raise MadeByNewer(path, f"{place[-1]}: {found}" if newer else str(place[-1]))
    first = problems[0]
    where = ".".join(map(str, first["loc"]))
    raise ValueError(f"{where}: {first['msg']}" if where else str(first["msg"]))


def read_small(path: Path) -> bytes:
    """Return the content of a regular file of 1 MiB at most; raises FileNotFoundError, ValueError."""
    try:
        with open_regular(path) as file:
            content = file.read(LARGEST_MIB * 2**20 + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(f"it cannot be read: {error.strerror}") from error
    if len(content) > LARGEST_MIB * 2**20:
        raise ValueError(f"it is larger than {LARGEST_MIB} MiB")
    return content
