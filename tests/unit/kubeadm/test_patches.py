"""Patches of the user's own: what kubeadm would not take is refused before a machine is touched."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from provision.config.inventory import inventory_of
from provision.config.schema import ClusterConfig
from provision.errors import ConfigError
from provision.host.facts import Acceleration
from provision.kubeadm.patches import (
    ANNOTATION,
    FOLDER,
    LIST,
    MARK,
    digest,
    forget_script,
    patch_files,
    read_patches,
)
from tests.fakes.config import make_config

KVM, TCG = Acceleration("kvm", 1.0), Acceleration("tcg", 10.0)
TEXT = "spec: {priority: 1}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "kubeletconfiguration+merge.yaml").write_text("maxPods: 7\n")
    (tmp_path / ".gitignore").write_text("no patch\n")
    return tmp_path


def config(folder: Path) -> ClusterConfig:
    return make_config(kubeadm={"patches": str(folder)})


def test_a_lab_without_patches_of_its_own_has_the_files_that_it_always_had() -> None:
    plain = make_config()
    first, worker, *_ = inventory_of(plain).nodes
    assert patch_files(plain, first, KVM) == patch_files(plain, worker, TCG) == {}
    assert LIST not in patch_files(plain, first, TCG)
    assert read_patches(plain) == {}


def test_every_node_gets_them_and_a_control_plane_the_mark(folder: Path) -> None:
    lab = config(folder)
    first, worker, *_ = inventory_of(lab).nodes
    mine = f"{FOLDER}/kubeletconfiguration+merge.yaml"
    assert set(patch_files(lab, worker, TCG)) == {mine, LIST}
    files = patch_files(lab, first, TCG)
    assert {mine, LIST, f"{FOLDER}/{MARK}", f"{FOLDER}/kube-apiserver+strategic.yaml"} <= set(files)
    marked = yaml.safe_load(files[f"{FOLDER}/{MARK}"].content)
    assert marked["metadata"]["annotations"] == {ANNOTATION: digest(read_patches(lab))}


def test_patches_that_lab_yaml_has_no_more_are_removed_and_kubelabs_own_stay(
    folder: Path, tmp_path: Path
) -> None:
    node = tmp_path / "node"
    first = inventory_of(make_config()).first
    files = patch_files(config(folder), first, TCG)
    for path, file in files.items():
        place = node / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(file.content)
    script = forget_script().replace("/etc/kub", f"{node}/etc/kub")
    subprocess.run(["sh", "-euc", script], check=True)
    left = {path.name for path in (node / FOLDER.lstrip("/")).iterdir()}
    assert left == {path.rpartition("/")[2] for path in patch_files(make_config(), first, TCG)}
    assert not (node / LIST.lstrip("/")).exists()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("apiserver.yaml", TEXT, "no patch by its name"),
        ("etcd;reboot.yaml", TEXT, "no patch by its name"),
        ("etcd\n.yaml", TEXT, "no patch by its name"),
        ("etcd+strategic.yaml", TEXT, "a patch of kubelab"),
        (MARK, TEXT, "a patch of kubelab"),
        ("etcd+json.json", "{}", "a list of operations"),
        ("etcd1.yaml", "- x", "a mapping"),
        ("etcd1.yaml", "", "a mapping"),
        ("etcd1.yaml", "a: [", "cannot be read"),
        ("etcd1.yaml", "x" * 300_000, "KiB at most"),
    ],
)
def test_what_kubeadm_would_not_take_is_refused(folder: Path, name: str, text: str, said: str) -> None:
    (folder / name).write_text(text)
    with pytest.raises(ConfigError, match=said) as caught:
        read_patches(config(folder))
    assert (caught.value.key, caught.value.exit_code) == ("kubeadm.patches", 2)


def test_a_folder_must_be_there_and_hold_something(tmp_path: Path) -> None:
    for path, said in ((tmp_path / "none", "cannot be read"), (tmp_path, "has no file")):
        with pytest.raises(ConfigError, match=said):
            read_patches(config(path))


def test_a_pipe_in_the_place_of_a_patch_is_not_waited_for(folder: Path) -> None:
    subprocess.run(["mkfifo", str(folder / "etcd1.yaml")], check=True)
    with pytest.raises(ConfigError, match="regular file"):
        read_patches(config(folder))
