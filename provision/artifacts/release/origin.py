"""Kubernetes as its project releases it, from the public sites or a mirror of them."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from provision.artifacts import debian, extras
from provision.artifacts import sites as addresses
from provision.artifacts.bundle import SCHEMA, Bundle, BundleBroken, Entry, entry_of, write_index
from provision.artifacts.images import recipes
from provision.artifacts.images.archive import EXECUTABLE
from provision.artifacts.images.registry import image_file
from provision.artifacts.release import archives, crictl, versions
from provision.artifacts.sites import Sites
from provision.artifacts.source import origin as source
from provision.artifacts.wanted import NOTHING, Wanted
from provision.artifacts.web.client import Web, is_missing
from provision.artifacts.web.download import Download
from provision.artifacts.web.errors import FetchFailed
from provision.config.kubernetes_versions import numbers
from provision.engine.parallel import first_failure
from provision.engine.waiting import RealClock
from provision.host.files import cache_dir

if TYPE_CHECKING:
    from provision.report.base import Reporter

# Raise it whenever the code here makes something else of the same inputs.
RECIPE = 2
# Of all that the release holds, what a bundle built from source has too.
CNI_PROGRAMS = ("bandwidth", "bridge", "host-device", "host-local", "loopback", "portmap", "ptp")
CNI_ARCHIVE = "cni-plugins.tgz"
# Each image is there twice while it is rewritten.
SPACE_MIB = 3 * 1024
# The checksums of all others were there.
INCOMPLETE_HINT = "its checksum is there, and the file is not: the site is incomplete"
CNI_HINT = "a mirror must hold what the CNI is made of, too; cni: bridge needs nothing"


@dataclass(frozen=True)
class Release:
    """One version of Kubernetes at `sites`, with what the lab wants beside it."""

    kubernetes: str
    sites: Sites
    wanted: Wanted = NOTHING

    @property
    def key(self) -> str:
        """Return the digest of all that says what a bundle holds: its name in the cache."""
        digest = hashlib.sha256()
        words = (str(SCHEMA), str(RECIPE), "release", self.kubernetes, debian.SUITE)
        beside = (cni_version(), crictl.crictl_version(self.kubernetes))
        for word in (*words, *beside, *recipes.BUSYBOX_PACKAGES, *self.sites.words, *self.wanted.words):
            digest.update(f"{word}\n".encode())
        return digest.hexdigest()

    @property
    def title(self) -> str:
        return f"fetching Kubernetes {self.kubernetes} from {self.sites.name}"

    def check(self, folder: Path, why: str) -> None:
        """Raise ResourceError unless the disk of `folder` has room for the bundle."""
        extras.check_space(folder, SPACE_MIB, "fetching Kubernetes")

    def make(self, root: Path, work: Path, reporter: Reporter, cancel: threading.Event) -> None:
        """Fetch a bundle into the empty folder `root`, with `work` for what is in between.

        Raises ConfigError for a version that is not there, FetchFailed, LabError, MissingTool, Cancelled.
        """
        web = extras.open_web(self.sites, reporter, cancel, addresses.KUBERNETES, addresses.CNI_PLUGINS)
        busybox = work / "busybox.tar"
        unpack = functools.partial(
            debian.extract,
            recipes.BUSYBOX_PACKAGES,
            debian.SUITE,
            busybox,
            say=reporter.info,
            cancel=cancel,
        )
        with extras.kept(self.key) as folder:
            items = self._downloads(folder, web, reporter, cancel)
            items += extras.wanted_downloads(self.wanted, self.sites, folder)
            try:
                extras.fetch_files(items, web, reporter, cancel, beside={"busybox": unpack})
            except FetchFailed as error:
                if is_missing(error):
                    wanted = (self.sites.url(file.url) in error.message for file in self.wanted.files)
                    error.hint = CNI_HINT if any(wanted) else INCOMPLETE_HINT
                raise
            entries = crictl.add(self.kubernetes, self.sites, folder, root, web, reporter, cancel)
            names = self._images(folder)
            entries += extras.place_images(names, self.sites, folder, root, reporter, cancel)
            entries += extras.place_files(self.wanted, folder, root, reporter)
            ref, version = recipes.write_busybox_image(root / "images", busybox, work)
            entries.append(entry_of(root, "images/busybox.tar", "image", ref=ref, version=version))
            entries += self._place_programs(folder, root)
        origin = f"mirror {self.sites.name}" if self.sites.is_mirror else "release"
        write_index(root, kubernetes=self.kubernetes, source=origin, recipe=self.key, entries=entries)

    def _downloads(
        self, folder: Path, web: Web, reporter: Reporter, cancel: threading.Event
    ) -> list[Download]:
        """Return the programs' downloads, each with the checksum that is published beside it."""
        urls = {
            name: versions.program_url(self.sites, self.kubernetes, name) for name in recipes.NODE_PROGRAMS
        }
        urls[CNI_ARCHIVE] = self.sites.url(cni_url())
        reporter.progress(f"checksums of Kubernetes {self.kubernetes}")
        jobs = {name: functools.partial(versions.checksum, url, web) for name, url in urls.items()}
        try:
            sums = first_failure(jobs, cancel, most=extras.AT_ONCE)
        except FetchFailed as error:
            if is_missing(error) and f"/v{self.kubernetes}/" in error.message:
                # It is not the version's other files that are missing, but the version.
                raise versions.unknown(self.kubernetes, self.sites, web) from None
            raise
        return [Download(url, folder / name, sums[name]) for name, url in urls.items()]

    def _images(self, folder: Path) -> dict[str, str]:
        """Return the file name of every image: those that kubeadm itself lists, and those wanted."""
        kubeadm = folder / "kubeadm"
        kubeadm.chmod(EXECUTABLE)
        listed = recipes.listed_images(kubeadm, self.kubernetes)
        wanted = {*self.wanted.images, *self.wanted.listed(lambda name: folder / name)}
        return {ref: image_file(ref) for ref in sorted(wanted)} | {
            ref: f"{name}.tar" for name, ref in listed.items()
        }

    def _place_programs(self, folder: Path, root: Path) -> list[Entry]:
        cni = root / "binaries/cni"
        cni.mkdir(parents=True)
        archives.unpack(folder / CNI_ARCHIVE, CNI_PROGRAMS, cni, self.sites.url(cni_url()))
        for name in recipes.NODE_PROGRAMS:
            (folder / name).rename(root / "binaries" / name)
            (root / "binaries" / name).chmod(EXECUTABLE)
        plugins = [f"cni/{name}" for name in CNI_PROGRAMS]
        kubernetes = [
            entry_of(root, f"binaries/{name}", "binary", version=f"v{self.kubernetes}")
            for name in recipes.NODE_PROGRAMS
        ]
        return kubernetes + [
            entry_of(root, f"binaries/{name}", "binary", version=cni_version()) for name in plugins
        ]


def find(wanted_version: str, sites: Sites, wanted: Wanted) -> Release | None:
    """Return the newest release of `wanted_version` (a minor or exact) that has its bundle in the cache."""
    found = []
    for folder in (cache_dir() / "bundles").glob("[0-9a-f]*"):
        with contextlib.suppress(BundleBroken):
            version = Bundle.open(folder).kubernetes
            release = Release(version, sites, wanted)
            if f"{version}.".startswith(f"{wanted_version}.") and release.key == folder.name:
                found.append(release)
    return max(found, key=lambda release: numbers(release.kubernetes), default=None)


def choose(wanted_version: str, sites: Sites, wanted: Wanted) -> Release:
    """Return the release for a minor or an exact version; one in the cache is taken without a question.

    Raises ConfigError for a version that is not there, FetchFailed.
    """
    if versions.is_exact(wanted_version):
        return Release(wanted_version, sites, wanted)
    found = find(wanted_version, sites, wanted)
    if found is not None:
        return found
    web = Web(RealClock(), ca=sites.ca)
    return Release(versions.resolve(wanted_version, sites, web), sites, wanted)


def cni_version() -> str:
    """Return the version of the CNI plugins, which is the one that bundles from source are pinned to."""
    return list(source.versions().values())[-1].version("cni-plugins")


def cni_url() -> str:
    """Return where the CNI plugins' own release lies."""
    version = cni_version()
    return f"{addresses.CNI_PLUGINS}/{version}/cni-plugins-linux-amd64-{version}.tgz"
