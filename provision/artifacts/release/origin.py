"""Kubernetes as its project releases it, from the public sites or a mirror of them."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from provision.artifacts import debian, extras
from provision.artifacts import sites as addresses
from provision.artifacts.bundle import SCHEMA, Bundle, BundleBroken, Entry, bundles_dir, entry_of, write_index
from provision.artifacts.images import recipes
from provision.artifacts.images.archive import EXECUTABLE
from provision.artifacts.images.registry import image_file
from provision.artifacts.plan import FILE, IMAGE, Planned
from provision.artifacts.release import archives, crictl, etcd_tools, versions
from provision.artifacts.sites import Sites
from provision.artifacts.source import origin as source
from provision.artifacts.unavailable import Unavailable, asking
from provision.artifacts.wanted import NOTHING, Wanted
from provision.artifacts.web.client import Web
from provision.artifacts.web.download import Download
from provision.config.kubernetes_versions import MINORS, minor_of, numbers
from provision.engine.parallel import first_failure
from provision.engine.waiting import RealClock

if TYPE_CHECKING:
    from provision.report.base import Reporter

# Raise it whenever the code here makes something else of the same inputs.
RECIPE = 3
# Of all that the release holds, what a bundle built from source has too.
CNI_PROGRAMS = ("bandwidth", "bridge", "host-device", "host-local", "loopback", "portmap", "ptp")
CONTROL_PLANE_IMAGES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
CNI_ARCHIVE = "cni-plugins.tgz"
# Each image is there twice while it is rewritten.
SPACE_MIB = 3 * 1024
INCOMPLETE = "the site is incomplete: it has the checksum of this file, and not the file"
# Other ways, for who chose this one.
NO_CNI = "or set cni: bridge in lab.yaml, which needs no extra files or images"
BUILD = "or set artifacts: source in lab.yaml, which builds Kubernetes here without these sites"
BUILD_WITH_BRIDGE = f"{BUILD} (with cni: bridge)"


@dataclass(frozen=True)
class Release:
    """One version of Kubernetes at `sites`, with what the lab wants beside it.

    `after` is the key of one that was tried before, whose downloads are used.
    """

    kubernetes: str
    sites: Sites
    wanted: Wanted = NOTHING
    after: str = field(default="", compare=False)

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
    def kind(self) -> str:
        return "mirror" if self.sites.is_mirror else "release"

    @property
    def title(self) -> str:
        return f"fetching Kubernetes {self.kubernetes} from {self.sites.name}"

    def plan(self) -> list[Planned]:
        """Return every URL and image; those of the pod network as far as they are known without its file."""
        minor = MINORS[minor_of(self.kubernetes)]
        checked = [*self._programs().values(), self.sites.url(crictl.crictl_url(self.kubernetes))]
        files = [Planned(FILE, url + suffix) for url in checked for suffix in (".sha256", "")]
        files += [Planned(FILE, self.sites.url(file.url)) for file in self.wanted.files]
        same = self.kubernetes == minor.patch
        note = "" if same else f"or another version: kubeadm {self.kubernetes} is asked"
        parts = [f"registry.k8s.io/{name}:v{self.kubernetes}" for name in CONTROL_PLANE_IMAGES]
        images = [Planned(IMAGE, self.sites.image(ref)[0]) for ref in parts]
        images += [Planned(IMAGE, self.sites.image(ref)[0], note) for ref in minor.images]
        beside = {*self.wanted.images, *self.wanted.foreseen}
        images += [Planned(IMAGE, self.sites.image(ref)[0]) for ref in sorted(beside)]
        if self.wanted.files and not self.wanted.foreseen:
            names = ", ".join(file.name for file in self.wanted.files)
            images.append(Planned(IMAGE, f"those that {names} names", "known once it is there"))
        return [*files, *images, debian.planned(recipes.BUSYBOX_PACKAGES, debian.SUITE)]

    def check(self, folder: Path, why: str) -> None:
        """Raise ResourceError unless the disk of `folder` has room for the bundle."""
        extras.check_space(folder, SPACE_MIB, "fetching Kubernetes")

    def make(self, root: Path, work: Path, reporter: Reporter, cancel: threading.Event) -> None:
        """Fetch a bundle into the empty folder `root`, with `work` for what is in between.

        Raises ConfigError for a version that is not there, Unavailable with the other ways as its hint,
        LabError, MissingTool, Cancelled.
        """
        try:
            self._make(root, work, reporter, cancel)
        except Unavailable as error:
            ways = NO_CNI if error.of_cni else BUILD_WITH_BRIDGE if self.wanted else BUILD
            error.hint = f"{error.hint}; {ways}" if error.hint else ways.removeprefix("or ")
            raise

    def _make(self, root: Path, work: Path, reporter: Reporter, cancel: threading.Event) -> None:
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
        with extras.kept(self.key, self.after) as folder:
            own = self._downloads(folder, web, reporter, cancel)
            for_cni = extras.wanted_downloads(self.wanted, self.sites, folder)
            try:
                extras.fetch_files([*own, *for_cni], web, reporter, cancel, beside={"busybox": unpack})
            except Unavailable as error:
                error.of_cni = error.what in {item.url for item in for_cni}
                if error.missing and not error.of_cni:
                    error.hint = INCOMPLETE
                raise
            entries = crictl.add(self.kubernetes, self.sites, folder, root, web, reporter, cancel)
            own_images, cni_images = self._images(folder)
            try:
                names = cni_images | own_images
                entries += extras.place_images(names, self.sites, folder, root, reporter, cancel)
            except Unavailable as error:
                error.of_cni = error.what not in own_images
                raise
            entries += etcd_tools.add(root, entries, reporter)
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
        urls = self._programs()
        reporter.progress(f"checksums of Kubernetes {self.kubernetes}")
        jobs = {
            name: functools.partial(asking, url, functools.partial(versions.checksum, url, web))
            for name, url in urls.items()
        }
        try:
            sums = first_failure(jobs, cancel, most=extras.AT_ONCE)
        except Unavailable as error:
            if error.missing and error.what != urls[CNI_ARCHIVE]:
                # It is not the version's other files that are missing, but the version.
                raise versions.unknown(self.kubernetes, self.sites, web) from None
            raise
        return [Download(url, folder / name, sums[name], archives.MOST_MIB) for name, url in urls.items()]

    def _programs(self) -> dict[str, str]:
        """Return the file name and URL of each program for the nodes, and of the archive of CNI plugins."""
        urls = {
            name: versions.program_url(self.sites, self.kubernetes, name) for name in recipes.NODE_PROGRAMS
        }
        return urls | {CNI_ARCHIVE: self.sites.url(cni_url())}

    def _images(self, folder: Path) -> tuple[dict[str, str], dict[str, str]]:
        """Return reference -> file name of the images that kubeadm itself lists, and of those wanted."""
        kubeadm = folder / "kubeadm"
        kubeadm.chmod(EXECUTABLE)
        listed = recipes.listed_images(kubeadm, self.kubernetes)
        wanted = {*self.wanted.images, *self.wanted.listed(lambda name: folder / name)}
        own = {ref: f"{name}.tar" for name, ref in listed.items()}
        return own, {ref: image_file(ref) for ref in sorted(wanted)}

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
    for folder in bundles_dir().glob("[0-9a-f]*"):
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


def foresee(wanted_version: str, sites: Sites, wanted: Wanted) -> tuple[Release, list[Planned]]:
    """Return what `choose` would return, and what it would ask first, without asking.

    For a minor that is not in the cache it is the newest patch that this version of kubelab knows.
    """
    if versions.is_exact(wanted_version):
        return Release(wanted_version, sites, wanted), []
    found = find(wanted_version, sites, wanted)
    if found is not None:
        return found, []
    known = MINORS[wanted_version].patch
    question = Planned(
        FILE,
        versions.newest_url(wanted_version, sites),
        f"says which patch it is; here as if it said {known}",
    )
    return Release(known, sites, wanted), [question]


def cni_version() -> str:
    """Return the version of the CNI plugins, which is the one that bundles from source are pinned to."""
    return list(source.versions().values())[-1].version("cni-plugins")


def cni_url() -> str:
    """Return where the CNI plugins' own release lies."""
    version = cni_version()
    return f"{addresses.CNI_PLUGINS}/{version}/cni-plugins-linux-amd64-{version}.tgz"
