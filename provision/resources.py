"""Where the files shipped with the package live: from a wheel, or from a checkout."""

from __future__ import annotations

from pathlib import Path

from provision.errors import LabError

_PACKAGE = Path(__file__).resolve().parent


def data(name: str) -> Path:
    """Return the path of the shipped file or folder `name`, such as "templates/kubeadm".

    A wheel carries the data inside the package under `_data`; a checkout has it beside the package.
    """
    for base in (_PACKAGE / "_data", _PACKAGE.parent):
        path = base / name
        if path.exists():
            return path
    raise LabError(
        f"the shipped file {name} is missing",
        hint="install kubelab again: pip install --force-reinstall kubelab",
    )
