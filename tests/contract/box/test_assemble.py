"""The part of assemble.sh that needs no root: what it puts into the guest before it mounts anything."""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from provision.templates import data

MOUNTS_NOTHING = 7
PROGRAMS = ["kubeadm", "kubelet", "kubectl", "cni/bridge"]
# Programs that are not in every bundle.
MORE = ("crictl", "etcdctl", "etcdutl")


def assemble(folder: Path, programs: list[str]) -> Path:
    """Run assemble.sh with a bundle of `programs` up to its first mount; return the guest's root."""
    folder.mkdir()
    for name in programs:
        file = folder / "bundle/binaries" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    for name in ("base/usr/bin", "base/etc", "work", "bin"):
        (folder / name).mkdir(parents=True)
    with tarfile.open(folder / "base.tar", "w") as tar:
        tar.add(folder / "base", arcname=".")
    (folder / "bin/mount").write_text(f"#!/bin/sh\nexit {MOUNTS_NOTHING}\n")
    (folder / "bin/mount").chmod(0o755)
    overlay = data("templates/box/overlay")
    arguments = [folder / "work", folder / "base.tar", folder / "bundle", overlay, "1"]
    argv = ["sh", str(data("templates/box/assemble.sh")), *map(str, arguments)]
    environment = {"PATH": f"{folder}/bin:{os.environ['PATH']}"}
    done = subprocess.run(argv, env=environment, text=True, capture_output=True, check=False)
    assert done.returncode == MOUNTS_NOTHING, done.stderr
    return folder / "work/root"


def files(root: Path) -> dict[str, tuple[bytes, int]]:
    """Return content and mode of every file below `root`."""
    return {
        path.relative_to(root).as_posix(): (path.read_bytes(), path.stat().st_mode)
        for path in root.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def without(tmp_path: Path) -> dict[str, tuple[bytes, int]]:
    return files(assemble(tmp_path / "without", PROGRAMS))


def test_the_programs_of_the_bundle_lie_where_a_node_looks_for_them(
    without: dict[str, tuple[bytes, int]],
) -> None:
    for path in ("usr/bin/kubeadm", "usr/bin/kubelet", "usr/bin/kubectl", "opt/cni/bin/bridge"):
        content, mode = without[path]
        assert path.endswith(content.decode().rpartition("/")[2])
        assert mode & 0o777 == 0o755
    assert not {f"usr/bin/{name}" for name in MORE} & without.keys()


def test_the_users_umask_does_not_reach_into_the_guest(
    tmp_path: Path, without: dict[str, tuple[bytes, int]]
) -> None:
    before = os.umask(0o077)
    try:
        found = files(assemble(tmp_path / "strict", PROGRAMS))
    finally:
        os.umask(before)
    assert {path: mode for path, (_, mode) in found.items()} == {
        path: mode for path, (_, mode) in without.items()
    }
    assert found["etc/systemd/network/10-node.network"][1] & 0o777 == 0o644


@pytest.mark.parametrize("name", MORE)
def test_a_program_for_people_is_on_the_nodes_where_the_bundle_has_it(
    tmp_path: Path, without: dict[str, tuple[bytes, int]], name: str
) -> None:
    found = files(assemble(tmp_path / "with", [*PROGRAMS, name]))
    assert found.keys() - without.keys() == {f"usr/bin/{name}"}
    assert {path: found[path] for path in without} == without
    content, mode = found[f"usr/bin/{name}"]
    assert (content, mode & 0o777) == (name.encode(), 0o755)
