"""Builds the box on the host, where a CPU second costs a tenth of what it costs in an emulated guest.

Nothing stays mounted or attached: all mounts are made inside a mount namespace, by processes of a
PID namespace that the kernel ends with its first process.
"""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import filelock

from provision.artifacts.bundle import Bundle
from provision.artifacts.debian import KEYRING, debian_sources
from provision.box.containerd import containerd_config, containerd_version
from provision.box.recipe import DISK_GIB, SUITE, BoxRecipe, base_key, guest_packages
from provision.errors import ResourceError
from provision.host.files import cache_dir
from provision.host.process import as_root, run_tool
from provision.report.base import Reporter
from provision.templates import data

NEEDED_MIB = 8 * 1024
BASE_DEADLINE = 1800.0
BUILD_DEADLINE = 1800.0
BOX_VAGRANTFILE = 'Vagrant.configure("2") { |config| config.ssh.insert_key = false }\n'


@dataclass(frozen=True)
class BoxBuilder:
    """Builds a box from a bundle into the cache, unless it is there."""

    report: Reporter
    cancel: Event

    def find_or_build(self, recipe: BoxRecipe, bundle: Bundle) -> Path:
        """Return the .box file of `recipe`, building it from `bundle` if it is not in the cache.

        Raises ResourceError on too little disk, MissingTool, ToolFailed, Cancelled.
        """
        boxes = cache_dir() / "boxes"
        boxes.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(boxes / ".lock"):
            self._remove_leftovers()
            if not recipe.file.exists():
                self._check_space(boxes)
                self._build(recipe, bundle, boxes)
        return recipe.file

    def _build(self, recipe: BoxRecipe, bundle: Bundle, boxes: Path) -> None:
        base = self._base()
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

    def _base(self) -> Path:
        """Return the root filesystem's tar, made from Debian packages if it is not in the cache."""
        tar = cache_dir() / "rootfs" / f"{base_key()}.tar"
        if tar.exists():
            return tar
        tar.parent.mkdir(parents=True, exist_ok=True)
        with self._timed("guest root filesystem"), self._scratch(tar.parent) as work:
            unfinished = work / "rootfs.tar"
            argv = [
                "mmdebstrap",
                f"--keyring={KEYRING}",
                "--variant=minbase",
                f"--include={','.join(guest_packages())}",
            ]
            argv += ['--aptopt=APT::Install-Recommends "false"']
            argv += [
                f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("man", "doc", "locale", "info")
            ]
            self._run(as_root([*argv, SUITE, str(unfinished), *debian_sources(SUITE)]), BASE_DEADLINE)
            unfinished.rename(tar)
        return tar

    def _assemble(self, work: Path, base: Path, bundle: Path, overlay: Path) -> None:
        with self._timed("box disk"):
            namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
            script = ["sh", str(data("templates/box/assemble.sh"))]
            arguments = [str(work), str(base), str(bundle), str(overlay), str(DISK_GIB * 1024)]
            self._run(as_root([*namespaces, *script, *arguments]), BUILD_DEADLINE)

    def _pack(self, disk: Path, folder: Path, recipe: BoxRecipe) -> None:
        """Write the .box: an uncompressed tar, since unpacking it is on the way of every first `up`."""
        image = folder / "box.img"
        self._run(["qemu-img", "convert", "-O", "qcow2", str(disk), str(image)], BUILD_DEADLINE)
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

    def _run(self, argv: list[str], deadline: float) -> None:
        run_tool(argv, deadline=deadline, on_line=self.report.progress, cancel=self.cancel)

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
            _remove(folder)

    def _remove_leftovers(self) -> None:
        """Remove what a killed build left; the caller holds the lock, so none is alive."""
        for folder in cache_dir().glob("*/.building-*"):
            _remove(folder)

    def _check_space(self, folder: Path) -> None:
        free = shutil.disk_usage(folder).free // 2**20
        if free < NEEDED_MIB:
            raise ResourceError(
                f"building the box needs {NEEDED_MIB} MiB free in {folder}, and {free} MiB are",
                hint="free some disk, or set KUBELAB_CACHE to a folder on a larger disk",
            )


def _remove(folder: Path) -> None:
    """Remove a scratch folder; its files are root's when the build went through sudo."""
    if os.geteuid() == 0:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        run_tool(as_root(["rm", "-rf", "--one-file-system", str(folder)]), deadline=120)
