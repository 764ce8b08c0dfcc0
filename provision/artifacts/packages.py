"""Debian packages on the host's own terms: the mirror its apt uses, checked with Debian's keyring."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from provision.command import run_tool
from provision.errors import LabError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
SUITE = "trixie"
QUERY_DEADLINE = 60.0
EXTRACT_DEADLINE = 1800.0
FIELDS = "$(LABEL)|$(COMPONENT)|$(CODENAME)|$(SITE)"


def debian_mirror() -> str:
    """Return the URL of the Debian mirror this host's apt uses; raises LabError if it uses none."""
    targets = run_tool(
        ["apt-get", "indextargets", "--format", FIELDS, "Created-By: Packages"],
        deadline=QUERY_DEADLINE,
    )
    found = []
    for line in targets.splitlines():
        label, component, codename, site = line.split("|", 3)
        if label == "Debian" and component == "main":
            # -updates and -backports may come from elsewhere than the release itself.
            found.append(("-" in codename, site))
    if not found:
        raise LabError(
            "this host's apt knows no Debian mirror",
            hint="run `apt-get update`; a Debian source with the component `main` is needed",
        )
    return min(found)[1]


def extract(
    packages: Sequence[str],
    suite: str,
    tar: Path,
    *,
    on_line: Callable[[str], None] | None = None,
    cancel: threading.Event | None = None,
) -> None:
    """Write the files of Debian `packages` and of all they depend on to `tar`, without running any of them.

    Raises MissingTool, ToolFailed, LabError, Cancelled.
    """
    if not KEYRING.is_file():
        raise LabError(f"Debian's keyring {KEYRING} is missing", hint="kubelab doctor --fix")
    run_tool(
        [
            "mmdebstrap",
            "--variant=extract",
            "--architectures=amd64",
            f"--include={','.join(packages)}",
            f"--keyring={KEYRING}",
            suite,
            str(tar),
            debian_mirror(),
        ],
        deadline=EXTRACT_DEADLINE,
        on_line=on_line,
        cancel=cancel,
        hint="see whether `apt-get update` works on this host",
    )
