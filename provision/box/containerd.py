"""containerd's configuration, in the form that the guest's own version of it reads."""

from __future__ import annotations

import re
from pathlib import Path

from provision.artifacts.bundle import Bundle
from provision.box.installed import installed_in
from provision.config.kubernetes_versions import MINORS, minor_of
from provision.errors import ConfigError, LabError
from provision.templates import environment

PACKAGE = "containerd"
PAUSE = "pause"
# From this version on, the form of configuration that names the parts of the CRI plugin one by one.
VERSION_3 = (2, 0)
# From this version on, a list; the single folder is gone two versions later.
BIN_DIRS = (2, 1)
_NUMBERS = re.compile(r"(?:[0-9]+:)?([0-9]+)\.([0-9]+)")


def containerd_version(base: Path) -> tuple[int, int]:
    """Return the version of containerd in a root filesystem's tar; raises LabError if it has none."""
    found = _NUMBERS.match(installed_in(base).get(PACKAGE, ""))
    if found is None:
        raise LabError(
            f"the root filesystem {base} has no {PACKAGE}", hint="delete that file: it is made again"
        )
    return int(found[1]), int(found[2])


def containerd_config(bundle: Bundle, version: tuple[int, int]) -> str:
    """Return containerd's configuration with the pause image of this bundle.

    Raises ConfigError for a containerd that the bundle's Kubernetes does not work with.
    """
    oldest = MINORS[minor_of(bundle.kubernetes)].containerd
    if version < oldest:
        raise ConfigError(
            f"Kubernetes {bundle.kubernetes} needs containerd {_text(oldest)}, the box has {_text(version)}",
            key="kubernetes",
            hint="choose an older minor",
        )
    form = "config-v3" if version >= VERSION_3 else "config-v2"
    template = environment().get_template(f"templates/containerd/{form}.toml.j2")
    return template.render(pause_image=bundle.image(PAUSE).ref, bin_dirs=version >= BIN_DIRS)


def _text(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
