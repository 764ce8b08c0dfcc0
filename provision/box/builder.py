"""Builds the box on the host, where a CPU second costs a tenth of what it costs in an emulated guest.

Nothing stays mounted or attached: all mounts are made inside a mount namespace, by processes of a
PID namespace that the kernel ends with its first process.
"""

from __future__ import annotations

import json
import shutil
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from provision.artifacts.apt_proxy import mmdebstrap_options
from provision.artifacts.bundle import Bundle
from provision.artifacts.debian import KEYRING, debian_sources
from provision.box.absent import refuse_absent, refuse_replaced
from provision.box.containerd import containerd_config, containerd_version
from provision.box.installed import installed_in
from provision.box.recipe import DISK_GIB, SUITE, BoxRecipe, guest_packages
from provision.errors import LabError, ResourceError, ToolFailed
from provision.host.files import cache_dir
from provision.host.locks import wait_for_lock
from provision.host.process import run_tool
from provision.host.root import run_as_root
from provision.report.base import Reporter
from provision.templates import data

NEEDED_MIB = 8 * 1024
BASE_DEADLINE = 1800.0
BUILD_DEADLINE = 1800.0
REMOVE_DEADLINE = 120.0
BOX_VAGRANTFILE = 'Vagrant.configure("2") { |config| config.ssh.insert_key = false }\n'


@dataclass(frozen=True)
class BoxBuilder:
    """Builds a box from a bundle into the cache, unless it is there."""

    report: Reporter
    cancel: Event

    def find_or_build(self, recipe: BoxRecipe, bundle: Bundle) -> Path:
        """Return the .box file of `recipe`, building it from `bundle` if it is not in the cache.

        Raises ResourceError on too little disk, ConfigError for a package that Debian does not have,
        MissingTool, ToolFailed, Cancelled.
        """
        boxes = cache_dir() / "boxes"
        boxes.mkdir(parents=True, exist_ok=True)
        with wait_for_lock(boxes / ".lock", self._tell_wait, self.cancel):
            self._remove_leftovers()
            if not recipe.file.exists():
                self._check_space(boxes)
                self._build(recipe, bundle, boxes)
        return recipe.file

    def _build(self, recipe: BoxRecipe, bundle: Bundle, boxes: Path) -> None:
        base = self._base(recipe)
        with self._scratch(boxes) as work:
            overlay = work / "overlay"
            shutil.copytree(data("templates/box/overlay"), overlay)
            config = overlay / "etc/containerd/config.toml"
            config.parent.mkdir(parents=True, exist_ok=True)
            config.write_text(containerd_config(bundle, containerd_version(base)))
            self._assemble(work, base, bundle.root, overlay)
            with self._timed("pack the box"):
                done = work / "done"
                done.mkdir()
                self._pack(work / "disk.raw", done, recipe)
            # A folder that lost its box is not believed, and would be in the way.
            shutil.rmtree(recipe.folder, ignore_errors=True)
            done.rename(recipe.folder)

    def _base(self, recipe: BoxRecipe) -> Path:
        """Return the root filesystem's tar, made from Debian packages if it is not in the cache."""
        tar = cache_dir() / "rootfs" / f"{recipe.base_key}.tar"
        if tar.exists():
            return tar
        tar.parent.mkdir(parents=True, exist_ok=True)
        with self._timed("guest root filesystem"), self._scratch(tar.parent) as work:
            unfinished = work / "rootfs.tar"
            try:
                self._install(recipe.packages, unfinished, work)
            except ToolFailed as error:
                refuse_absent(recipe.packages, error.output)
                raise
            if recipe.packages:
                refuse_replaced(recipe.packages, installed_in(unfinished))
            unfinished.rename(tar)
        return tar

    def _install(self, packages: Sequence[str], tar: Path, work: Path) -> None:
        """Write a root filesystem with the nodes' own packages and `packages` to `tar`."""
        argv = [
            "mmdebstrap",
            f"--keyring={KEYRING}",
            "--variant=minbase",
            f"--include={','.join([*guest_packages(), *packages])}",
        ]
        argv += ['--aptopt=APT::Install-Recommends "false"']
        argv += [f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("man", "doc", "locale", "info")]
        sources = debian_sources(SUITE)
        with mmdebstrap_options(sources, work) as proxy:
            argv += [*proxy, SUITE, str(tar), *sources]
            what = f"mmdebstrap makes a Debian {SUITE} for the nodes"
            # What it unpacks may not fit into /tmp, which may be in memory.
            self._run_as_root(argv, what, BASE_DEADLINE, {"TMPDIR": str(work)})

    def _assemble(self, work: Path, base: Path, bundle: Path, overlay: Path) -> None:
        with self._timed("box disk"):
            namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
            script = ["sh", str(data("templates/box/assemble.sh"))]
            arguments = [str(work), str(base), str(bundle), str(overlay), str(DISK_GIB * 1024)]
            what = "assemble.sh puts the box's disk together, in namespaces of its own"
            self._run_as_root([*namespaces, *script, *arguments], what, BUILD_DEADLINE)

    def _pack(self, disk: Path, folder: Path, recipe: BoxRecipe) -> None:
        """Write the .box: an uncompressed tar, since unpacking it is on the way of every first `up`."""
        image = folder / "box.img"
        run_tool(
            ["qemu-img", "convert", "-O", "qcow2", str(disk), str(image)],
            deadline=BUILD_DEADLINE,
            on_line=self.report.progress,
            cancel=self.cancel,
        )
        disk.unlink()
        metadata = {"provider": "libvirt", "format": "qcow2", "virtual_size": DISK_GIB}
        (folder / "metadata.json").write_text(json.dumps(metadata))
        (folder / "Vagrantfile").write_text(BOX_VAGRANTFILE)
        with tarfile.open(folder / recipe.file.name, "w") as box:
            for name in ("metadata.json", "Vagrantfile", "box.img"):
                box.add(folder / name, arcname=name)
        image.unlink()
        contents = {"kubernetes": recipe.kubernetes, "bundle": recipe.bundle_key, "name": recipe.name}
        (folder / "contents.json").write_text(json.dumps(contents, indent=2) + "\n")

    def _run_as_root(
        self, argv: list[str], what: str, deadline: float, variables: Mapping[str, str] | None = None
    ) -> None:
        run_as_root(
            argv,
            variables=variables or {},
            say=self.report.info,
            what=what,
            deadline=deadline,
            on_line=self.report.progress,
            cancel=self.cancel,
        )

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        self.report.progress(name)
        start = time.monotonic()
        yield
        self.report.phase(name, time.monotonic() - start)

    @contextmanager
    def _scratch(self, parent: Path) -> Iterator[Path]:
        """Give a folder on the cache's own disk, gone afterwards whatever happened."""
        folder = Path(tempfile.mkdtemp(prefix=".building-", dir=parent))
        try:
            yield folder
        finally:
            self._remove(folder)

    def _tell_wait(self) -> None:
        self.report.info("another kubelab command is building a box; waiting for it")

    def _remove_leftovers(self) -> None:
        """Remove what a killed build left; the caller holds the lock, so none is alive."""
        for folder in cache_dir().glob("*/.building-*"):
            self._remove(folder)

    def _remove(self, folder: Path) -> None:
        """Remove a scratch folder, as far as can be: what ended the build is what the user has to learn."""
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            # What root left there is out of the user's reach.
            argv = ["rm", "-rf", "--one-file-system", "--", str(folder)]
            with suppress(LabError):
                run_as_root(argv, say=self.report.progress, deadline=REMOVE_DEADLINE)

    def _check_space(self, folder: Path) -> None:
        free = shutil.disk_usage(folder).free // 2**20
        if free < NEEDED_MIB:
            raise ResourceError(
                f"building the box needs {NEEDED_MIB} MiB free in {folder}, and {free} MiB are",
                hint="free some disk, or set KUBELAB_CACHE to a folder on a larger disk",
            )
