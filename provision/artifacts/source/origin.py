"""Kubernetes built from Go modules: the versions there are, and a bundle of one of them."""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from provision import templates
from provision.artifacts import debian, extras
from provision.artifacts.bundle import SCHEMA, Entry, entry_of, write_index
from provision.artifacts.images import recipes
from provision.artifacts.plan import MODULE, Planned
from provision.artifacts.source import golang
from provision.artifacts.wanted import NOTHING, Wanted
from provision.config.kubernetes_versions import numbers
from provision.errors import ConfigError, MissingTool

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from provision.report.base import Reporter

# Raise it whenever the code here makes something else of the same inputs.
RECIPE = 2
KUBERNETES = "k8s.io/kubernetes"
ETCD = "go.etcd.io/etcd/server/v3"
COREDNS = "github.com/coredns/coredns"
CNI_PLUGINS = "github.com/containernetworking/plugins"
MODULES = {"kubernetes": KUBERNETES, "etcd": ETCD, "coredns": COREDNS, "cni-plugins": CNI_PLUGINS}
VERSION_PACKAGES = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
# A first build: some 5 GiB of compiled and downloaded modules, 1 GiB of bundle.
SPACE_MIB = 6 * 1024
CACHES = "KUBELAB_CACHE, GOCACHE and GOMODCACHE"


@dataclass(frozen=True)
class Source:
    """The Go modules of one Kubernetes version: `folder` has one folder a module."""

    folder: Path
    pause: Path
    kubernetes: str

    @property
    def key(self) -> str:
        """Return the digest of all that a bundle is made from: its name in the cache."""
        digest = hashlib.sha256()
        words = (str(SCHEMA), str(RECIPE), self.kubernetes, debian.SUITE)
        for word in (*words, *recipes.PROXY_PACKAGES, *recipes.BUSYBOX_PACKAGES):
            digest.update(f"{word}\n".encode())
        for module in (*(self.folder / name for name in MODULES), self.pause):
            for file in sorted(module.iterdir()):
                content = file.read_bytes()
                digest.update(f"{module.name}/{file.name} {len(content)}\n".encode() + content)
        return digest.hexdigest()

    def version(self, module: str) -> str:
        """Return the pinned version of one of MODULES, such as "v3.6.8"."""
        return golang.required(self.folder / module / "go.mod", MODULES[module])

    @property
    def wanted(self) -> Wanted:
        """Return nothing: what is built here has no part of a CNI."""
        return NOTHING

    @property
    def kind(self) -> str:
        return "source"

    @property
    def title(self) -> str:
        return f"building Kubernetes {self.kubernetes} from source"

    def plan(self) -> list[Planned]:
        """Return the packages and the main modules; Go knows what else these need, and what it has."""
        note = "through GOPROXY, with all that it requires"
        modules = [Planned(MODULE, f"{path}@{self.version(name)}", note) for name, path in MODULES.items()]
        packages = (*recipes.PROXY_PACKAGES, *recipes.BUSYBOX_PACKAGES)
        return [*modules, debian.planned(packages, debian.SUITE)]

    def check(self, folder: Path, why: str) -> None:
        """Raise MissingTool without Go, ResourceError without room in `folder` or in Go's caches."""
        if shutil.which("go") is None:
            raise MissingTool(
                f"Kubernetes {self.kubernetes} cannot be built without Go ({why})",
                hint="kubelab doctor --fix",
            )
        check_space(folder)

    def make(self, root: Path, work: Path, reporter: Reporter, cancel: threading.Event) -> None:
        """Build a bundle in the empty folder `root`, with `work` for what is in between.

        Raises MissingTool, ToolFailed, LabError, Cancelled.
        """
        build(self, root, work, reporter, cancel)


def versions() -> dict[str, Source]:
    """Return every Kubernetes version that can be built, the newest last: "1.36.3" -> its modules."""
    base = templates.data("templates/bundle")
    found = {}
    for folder in base.glob("v*"):
        version = golang.required(folder / "kubernetes" / "go.mod", KUBERNETES).removeprefix("v")
        found[version] = Source(folder, base / "pause", version)
    return dict(sorted(found.items(), key=lambda item: numbers(item[0])))


def resolve(wanted: str) -> Source:
    """Return the source of the version `wanted`: a minor ("1.36") or an exact one ("1.36.3").

    Raises ConfigError naming the versions there are.
    """
    known = versions()
    if not re.fullmatch(r"v?[0-9]+\.[0-9]+(\.[0-9]+)?", wanted):
        raise ConfigError(
            f"{wanted!r} is not a version", key="kubernetes", hint=f"known versions: {', '.join(known)}"
        )
    exact = numbers(wanted)
    for version in reversed(known):
        if numbers(version)[: len(exact)] == exact:
            return known[version]
    near = [version for version in known if numbers(version)[:2] == exact[:2]] or list(known)
    raise ConfigError(
        f"version {wanted} cannot be built from source",
        key="kubernetes",
        hint=f"versions that can be built: {', '.join(near)}",
    )


def check_space(folder: Path) -> None:
    """Raise ResourceError unless there is room in `folder` and in Go's caches; MissingTool without Go."""
    for place in (folder, *golang.cache_folders()):
        extras.check_space(place, SPACE_MIB, "building Kubernetes", moved_by=CACHES)


def build(source: Source, root: Path, work: Path, reporter: Reporter, cancel: threading.Event) -> None:
    """Build a bundle of `source` in the empty folder `root`, with `work` for what is in between."""
    begun = time.monotonic()
    proxy, busybox = work / "proxy.tar", work / "busybox.tar"
    # First what needs the network and seconds, then what takes minutes.
    for wanted, tar in ((recipes.PROXY_PACKAGES, proxy), (recipes.BUSYBOX_PACKAGES, busybox)):
        reporter.progress(f"packages: {' '.join(wanted)}")
        debian.extract(wanted, debian.SUITE, tar, say=reporter.info, cancel=cancel)
    reporter.phase("packages", time.monotonic() - begun)

    built = work / "built"
    for module in MODULES:
        out = built / "cni" if module == "cni-plugins" else built
        flags = _version_flags(source.kubernetes) if module == "kubernetes" else ()
        golang.build(source.folder / module, out, work, reporter, ldflags=flags, cancel=cancel)
    golang.build(source.pause, built, work, reporter, what=".", cancel=cancel)
    # Go names the program after the last part of the module's path.
    (built / "server").rename(built / "etcd")

    begun = time.monotonic()
    reporter.progress("images: writing")
    images = root / "images"
    images.mkdir()
    refs = recipes.wanted_images(built / "kubeadm", source.kubernetes)
    files = recipes.write_kubernetes_images(images, built, refs, proxy)
    files["busybox.tar"], busybox_version = recipes.write_busybox_image(images, busybox, work)
    recipes.move_programs(built, root / "binaries")
    entries = list(_entries(source, root, files, busybox_version))
    write_index(root, kubernetes=source.kubernetes, source="source", recipe=source.key, entries=entries)
    reporter.phase("images", time.monotonic() - begun)


def _entries(source: Source, root: Path, refs: dict[str, str], busybox: str) -> Iterator[Entry]:
    kubernetes = f"v{source.kubernetes}"
    own = {name: source.version(name) for name in ("etcd", "coredns")}
    own |= {"busybox": busybox, "pause": "kubelab"}
    for file, ref in refs.items():
        version = own.get(file.removesuffix(".tar"), kubernetes)
        yield entry_of(root, f"images/{file}", "image", ref=ref, version=version)
    for path in (root / "binaries").rglob("*"):
        if path.is_file():
            is_cni = path.parent.name == "cni"
            version = source.version("cni-plugins") if is_cni else kubernetes
            if path.name in recipes.ETCD_PROGRAMS:
                version = own["etcd"]
            yield entry_of(root, path.relative_to(root).as_posix(), "binary", version=version)


def _version_flags(kubernetes: str) -> list[str]:
    """Return the linker flags that tell Kubernetes its own version, with a fixed date."""
    major, minor, _ = kubernetes.split(".")
    fields = {
        "gitVersion": f"v{kubernetes}",
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
        "gitCommit": "0" * 40,
        "buildDate": "1970-01-01T00:00:00Z",
    }
    return [f"-X {package}.{name}={value}" for package in VERSION_PACKAGES for name, value in fields.items()]
