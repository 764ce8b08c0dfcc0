"""What people type on a node: kubectl as it is, k, and a login on the console."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from provision.templates import data
from tests.fakes.node.sandbox import Sandbox

OVERLAY = "templates/box/overlay"
# The node's users are not this host's: whose a file becomes is only written down.
INSTALL = """
mode=$3 user=$5
if [ "$1" = -d ]; then mkdir -p "$8"; exit; fi
cp "$7" "$8"; chmod "$2" "$8"; echo "$4 $(basename "$7") $2" >> installed
"""


@pytest.fixture
def node(tmp_path: Path) -> Sandbox:
    made = Sandbox("lab-cp1", tmp_path / "node")
    (made.bin / "basename").symlink_to("/usr/bin/basename")
    made.program("install", INSTALL)
    made.path("/etc/kubernetes").mkdir(parents=True)
    return made


def give(node: Sandbox) -> None:
    node.run(data(f"{OVERLAY}/usr/lib/kubelab/kubeconfig.sh").read_text())


def test_a_control_plane_gives_root_and_the_user_the_kubeconfig_of_admins(node: Sandbox) -> None:
    node.write("/etc/kubernetes/admin.conf", "admin\n")
    node.write("/etc/kubernetes/kubelet.conf", "kubelet\n")
    give(node)
    for home in ("/root", "/home/vagrant"):
        assert node.path(f"{home}/.kube/config").read_text() == "admin\n"
        assert node.path(f"{home}/.kube/config").stat().st_mode & 0o777 == 0o600
    assert node.path("/installed").read_text() == "root admin.conf 600\nvagrant admin.conf 600\n"


def test_a_worker_gives_root_alone_the_rights_of_its_kubelet(node: Sandbox) -> None:
    node.write("/etc/kubernetes/kubelet.conf", "kubelet\n")
    give(node)
    assert node.path("/root/.kube/config").read_text() == "kubelet\n"
    assert not node.path("/home/vagrant/.kube").exists()


def test_renewed_certificates_replace_the_copies(node: Sandbox) -> None:
    for text in ("old\n", "new\n"):
        node.write("/etc/kubernetes/admin.conf", text)
        give(node)
    assert node.path("/home/vagrant/.kube/config").read_text() == "new\n"


def test_a_node_before_kubeadm_has_none(node: Sandbox) -> None:
    give(node)
    assert not node.path("/root/.kube").exists()


@pytest.mark.parametrize("file", ["usr/lib/kubelab/bashrc", "usr/share/bash-completion/completions/k"])
def test_what_bash_reads_is_valid(file: str) -> None:
    subprocess.run(["bash", "-n", str(data(f"{OVERLAY}/{file}"))], check=True)


def test_the_kubelet_takes_what_the_user_adds() -> None:
    unit = data(f"{OVERLAY}/usr/lib/systemd/system/kubelet.service").read_text()
    lines = unit.splitlines()
    # What is read last wins, and an argument given twice counts by its last value.
    assert lines.index("EnvironmentFile=-/etc/default/kubelet") > lines.index(
        "EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env"
    )
    (start,) = [line for line in lines if line.startswith("ExecStart=")]
    assert start.endswith(" $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS")
