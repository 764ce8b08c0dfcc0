"""The files shipped with the package, and the one Jinja environment that renders them."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import jinja2

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


def ruby(value: object) -> str:
    """Return `value` as a single-quoted Ruby string, in which nothing is interpolated."""
    text = str(value).replace("\\", "\\\\").replace("'", "\\'")
    # Ruby reads CR LF in its source as LF, so a CR stands in a string of its own: neighbours are joined.
    text = text.replace("\r", "'\"\\r\"'")
    return f"'{text}'"


@functools.cache
def environment(package: str = "") -> jinja2.Environment:
    """Return the environment all templates are rendered in: an undefined name is an error.

    What is not found here is looked for in the folder of the Python package `package`.
    """
    loaders: list[jinja2.BaseLoader] = [jinja2.FileSystemLoader(data("Vagrantfile.j2").parent)]
    if package:
        loaders.append(jinja2.PackageLoader(package, ""))
    env = jinja2.Environment(
        loader=jinja2.ChoiceLoader(loaders),
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    env.filters["ruby"] = ruby
    env.filters["json"] = json.dumps
    return env
