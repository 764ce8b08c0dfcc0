"""Files and images that come ready from elsewhere: fetched, kept until all are there, put into a bundle."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from provision.artifacts.bundle import Entry, entry_of
from provision.artifacts.images.registry import Reference, fetch_images
from provision.artifacts.sites import Sites
from provision.artifacts.unavailable import asking
from provision.artifacts.web.client import Web, plain_site, proxy_for
from provision.artifacts.web.download import Download, Meter, fetch
from provision.engine.parallel import first_failure
from provision.engine.waiting import RealClock
from provision.errors import ResourceError
from provision.host.files import cache_dir

if TYPE_CHECKING:
    from collections.abc import Callable

    from provision.artifacts.wanted import Wanted
    from provision.report.base import Reporter

AT_ONCE = 4
# The largest manifest of a pod network, or chart, that anybody knows has 2 MiB.
MANIFEST_MIB = 32
FORGOTTEN_AFTER = 7 * 24 * 3600.0


@contextlib.contextmanager
def kept(key: str, after: str = "") -> Iterator[Path]:
    """Give the folder for what is fetched for the bundle `key`.

    It is gone once all went well; until then it stays, for the next run to go on with. A new one begins with
    what is there for the bundle `after`, whose making failed.
    """
    folder = cache_dir() / "downloads" / key
    if after and not folder.exists():
        # Links, as another process may be at work in the other folder; what it removes meanwhile is lost.
        whole = shutil.ignore_patterns("*.part", ".*")
        with contextlib.suppress(OSError):
            shutil.copytree(folder.with_name(after), folder, copy_function=os.link, ignore=whole)
    folder.mkdir(parents=True, exist_ok=True)
    for other in folder.parent.iterdir():
        if time.time() - other.stat().st_mtime > FORGOTTEN_AFTER and other != folder:
            shutil.rmtree(other, ignore_errors=True)
    yield folder
    shutil.rmtree(folder)


def check_space(folder: Path, mib: int, what: str, *, moved_by: str = "KUBELAB_CACHE") -> None:
    """Raise ResourceError unless there are `mib` MiB free where `folder` is or will be.

    `moved_by` names the environment variables that put it elsewhere.
    """
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free >> 20
    if free < mib:
        raise ResourceError(
            f"{what} needs {mib} MiB free in {folder}, there are {free}",
            hint=f"make room, or put {moved_by} on a larger disk",
        )


def open_web(sites: Sites, reporter: Reporter, cancel: threading.Event, *urls: str) -> Web:
    """Return the way to the sites for `urls`; tell which proxies are on it, and who is asked over http."""
    for proxy in sorted({proxy_for(sites.url(url)) for url in urls} - {""}):
        reporter.info(f"using the proxy {proxy} from the environment")
    for site in sorted({site for url in urls if (site := plain_site(sites.url(url)))}):
        reporter.warn(
            f"{site} is asked over http, where anybody on the way can change what comes, checksums too: "
            "use https if it can"
        )
    return Web(RealClock(cancel), ca=sites.ca)


def wanted_downloads(wanted: Wanted, sites: Sites, folder: Path) -> list[Download]:
    """Return what is to be downloaded for `wanted`."""
    return [
        Download(sites.url(file.url), folder / file.name, file.sha256, MANIFEST_MIB) for file in wanted.files
    ]


def fetch_files(
    items: Sequence[Download],
    web: Web,
    reporter: Reporter,
    cancel: threading.Event,
    *,
    beside: Mapping[str, Callable[[], None]] | None = None,
) -> None:
    """Download several files at once, and do the work `beside` meanwhile; the first failure is raised.

    Raises Unavailable, LabError for a file that is not what it should be, Cancelled.
    """
    meter = Meter(reporter)
    jobs: dict[str, Callable[[], None]] = dict(beside or {})
    jobs |= {
        item.url: functools.partial(asking, item.url, functools.partial(fetch, item, web, meter, cancel))
        for item in items
    }
    begun = time.monotonic()
    first_failure(jobs, cancel, most=AT_ONCE)
    reporter.phase("downloads", time.monotonic() - begun)


def place_files(wanted: Wanted, folder: Path, root: Path, reporter: Reporter) -> list[Entry]:
    """Move the files of `wanted` from `folder` into the bundle at `root`; warn of those not checked."""
    entries = []
    for file in wanted.files:
        path = f"manifests/{file.name}"
        (root / path).parent.mkdir(exist_ok=True)
        shutil.move(folder / file.name, root / path)
        entry = entry_of(root, path, "file")
        if file.sha256 is None:
            reporter.warn(
                f"{file.url} was not checked, as no checksum is known for it; it has sha256:{entry.sha256}:"
                " to accept only this file from now on, set cni.sha256 in lab.yaml to that"
            )
        entries.append(entry)
    return entries


def place_images(
    names: Mapping[str, str],
    sites: Sites,
    folder: Path,
    root: Path,
    reporter: Reporter,
    cancel: threading.Event,
) -> list[Entry]:
    """Fetch the images `names` (reference -> file name) and put them into the bundle at `root`."""
    begun = time.monotonic()
    fetched = fetch_images(names, sites, folder, reporter, cancel)
    entries = []
    for ref, (archive, digest) in fetched.items():
        path, found = f"images/{names[ref]}", Reference.parse(ref)
        (root / path).parent.mkdir(exist_ok=True)
        shutil.move(archive, root / path)
        entries.append(entry_of(root, path, "image", ref=found.tagged, version=found.tag, digest=digest))
    reporter.phase("images", time.monotonic() - begun)
    return entries
