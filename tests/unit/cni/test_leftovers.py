from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from provision.cni import leftovers
from provision.cni.leftovers import LEFTOVERS, MEMBER, probe_script, removal_script


def run(script: str, root: Path) -> bool:
    """Run a script whose absolute paths lie below `root`, with programs that fail; return its success."""
    for path in sorted({MEMBER, *(file for left in LEFTOVERS.values() for file in left.files)}, reverse=True):
        script = script.replace(path, f"{root}{path}")
    programs = root / "bin"
    programs.mkdir(exist_ok=True)
    for name in ("ip", "nft", "systemctl"):
        (programs / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {root}/calls\nexit 1\n')
        (programs / name).chmod(0o755)
    argv = ["/bin/sh", "-eu", "-c", script]
    return subprocess.run(argv, env={"PATH": f"{programs}:/usr/bin:/bin"}, check=False).returncode == 0


def leave(root: Path, name: str) -> list[Path]:
    """Put the files of a CNI below `root`."""
    files = [Path(f"{root}{file}") for file in LEFTOVERS[name].files]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")
    return files


@pytest.mark.parametrize("wanted", ["bridge", "calico", "own", "none"])
@pytest.mark.parametrize("name", LEFTOVERS)
def test_only_what_another_cni_left_is_removed(tmp_path: Path, name: str, wanted: str) -> None:
    files = leave(tmp_path, name)
    assert run(probe_script(wanted), tmp_path) is (name == wanted)
    assert run(removal_script(wanted), tmp_path)
    assert all(file.exists() is (name == wanted) for file in files)
    assert run(probe_script(wanted), tmp_path)
    calls = (tmp_path / "calls").read_text() if (tmp_path / "calls").exists() else ""
    links = leftovers.LEFTOVERS[name].links
    assert all((f"ip link delete {link}" in calls) is (name != wanted) for link in links)


@pytest.mark.parametrize("name", LEFTOVERS)
def test_a_node_of_a_living_cluster_is_left_alone(tmp_path: Path, name: str) -> None:
    files = leave(tmp_path, name)
    member = Path(f"{tmp_path}{MEMBER}")
    member.parent.mkdir(parents=True, exist_ok=True)
    member.write_text("")
    assert run(probe_script("none"), tmp_path)
    assert run(removal_script("none"), tmp_path)
    assert all(file.exists() for file in files)


def test_a_node_without_leftovers_has_nothing_to_do(tmp_path: Path) -> None:
    assert run(probe_script("bridge"), tmp_path)
    assert run(removal_script("bridge"), tmp_path)
    assert not (tmp_path / "calls").exists()
