"""crictl, for people who look at a node's containers: no cluster needs it, and not every mirror has it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from provision.artifacts import sites as addresses
from provision.artifacts.bundle import Entry, entry_of
from provision.artifacts.release import archives, versions
from provision.artifacts.web.download import Download, Meter, fetch
from provision.artifacts.web.errors import FetchFailed
from provision.config.kubernetes_versions import MINORS, minor_of

if TYPE_CHECKING:
    from provision.artifacts.sites import Sites
    from provision.artifacts.web.client import Web
    from provision.report.base import Reporter

NAME = "crictl"
ARCHIVE = "crictl.tar.gz"
# A box is found by what its bundle is made from, but that of a bundle the user gives by what is in it.
REMEDY = (
    "to have it, put the archive and its .sha256 there, delete the folder that `kubelab bundle show` names, "
    "and make a bundle to use as artifacts: {bundle: FOLDER} by `kubelab bundle create --into FOLDER`"
)


def crictl_version(kubernetes: str) -> str:
    """Return the version of crictl for a version of Kubernetes, such as "v1.36.0"."""
    return MINORS[minor_of(kubernetes)].crictl


def crictl_url(kubernetes: str) -> str:
    """Return where crictl's own release for a version of Kubernetes lies."""
    version = crictl_version(kubernetes)
    return f"{addresses.CRI_TOOLS}/{version}/crictl-{version}-linux-amd64.tar.gz"


def add(
    kubernetes: str,
    sites: Sites,
    folder: Path,
    root: Path,
    web: Web,
    reporter: Reporter,
    cancel: threading.Event,
) -> list[Entry]:
    """Fetch crictl into `folder` and put it into the bundle at `root`; return its entry.

    Where it cannot be had, say so and return nothing. Raises LabError for a wrong checksum or an archive
    that is none, Cancelled.
    """
    url, archive = sites.url(crictl_url(kubernetes)), folder / ARCHIVE
    try:
        item = Download(url, archive, versions.checksum(url, web), archives.MOST_MIB)
        fetch(item, web, Meter(reporter), cancel)
    except FetchFailed as error:
        remedy = f"; {REMEDY}" if sites.files else ""
        reporter.warn(f"the nodes will have no crictl, which no cluster needs: {error.message}{remedy}")
        return []
    binaries = root / "binaries"
    binaries.mkdir(exist_ok=True)
    archives.unpack(archive, (NAME,), binaries, url)
    return [entry_of(root, f"binaries/{NAME}", "binary", version=crictl_version(kubernetes))]
