"""Debian packages on the host's own terms: the mirror its apt uses, checked with Debian's keyring."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from provision.artifacts.apt_proxy import mmdebstrap_options
from provision.artifacts.plan import PACKAGES, Planned
from provision.errors import LabError
from provision.host.process import run_tool
from provision.host.root import run_as_root

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
SUITE = "trixie"
QUERY_DEADLINE = 60.0
EXTRACT_DEADLINE = 1800.0
FIELDS = "$(LABEL)|$(COMPONENT)|$(CODENAME)|$(SITE)"


def debian_sources(suite: str) -> list[str]:
    """Return apt source lines for `suite`, its updates and security fixes, from where this host gets its own.

    Empty where the host's apt knows no Debian, as on Ubuntu: mmdebstrap then takes its own default.
    """
    targets = run_tool(
        ["apt-get", "indextargets", "--format", FIELDS, "Created-By: Packages"],
        deadline=QUERY_DEADLINE,
    )
    sites: dict[str, set[tuple[bool, str]]] = {"Debian": set(), "Debian-Security": set()}
    for line in targets.splitlines():
        label, component, codename, site = line.split("|", 3)
        if label in sites and component == "main":
            # -updates and -backports may come from elsewhere than the release itself.
            sites[label].add(("-" in codename, site))
    if not sites["Debian"]:
        return []
    mirror = min(sites["Debian"])[1]
    lines = [f"deb {mirror} {suite} main", f"deb {mirror} {suite}-updates main"]
    return lines + [f"deb {site} {suite}-security main" for _, site in sorted(sites["Debian-Security"])]


def planned(packages: Sequence[str], suite: str) -> Planned:
    """Return what `extract` would fetch; asks this host's apt where from."""
    what = f"{', '.join(packages)} and what they depend on"
    sources = "; ".join(debian_sources(suite)) or f"mmdebstrap's own mirror for {suite}"
    return Planned(PACKAGES, sources, what)


def extract(
    packages: Sequence[str],
    suite: str,
    tar: Path,
    *,
    say: Callable[[str], None],
    on_line: Callable[[str], None] | None = None,
    cancel: threading.Event | None = None,
) -> None:
    """Write the files of Debian `packages` and of all they depend on to `tar`, without running any of them.

    Unpacked they have owners, so it takes root: `say` is told before.
    Raises MissingTool, ToolFailed, LabError, Cancelled.
    """
    if not KEYRING.is_file():
        raise LabError(f"Debian's keyring {KEYRING} is missing", hint="kubelab doctor --fix")
    sources = debian_sources(suite)
    with mmdebstrap_options(sources, tar.parent, unpacked=True) as proxy:
        run_as_root(
            [
                "mmdebstrap",
                "--variant=extract",
                "--architectures=amd64",
                f"--include={','.join(packages)}",
                f"--keyring={KEYRING}",
                *proxy,
                suite,
                str(tar),
                *sources,
            ],
            say=say,
            # What it unpacks may not fit into /tmp, which may be in memory.
            variables={"TMPDIR": str(tar.parent)},
            what=f"mmdebstrap unpacks Debian's {', '.join(packages)}",
            deadline=EXTRACT_DEADLINE,
            on_line=on_line,
            cancel=cancel,
            hint="see whether `apt-get update` works on this host",
        )
