"""Which program goes into which image of a cluster, and how each image is started."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from provision.artifacts.images.archive import EXECUTABLE, ImageConfig, Layer, minimal_root, write_image
from provision.errors import LabError
from provision.host.process import run_tool

if TYPE_CHECKING:
    from collections.abc import Mapping

NODE_PROGRAMS = ("kubeadm", "kubectl", "kubelet")
# For people who look into etcd, on the nodes and in its image.
ETCD_PROGRAMS = ("etcdctl", "etcdutl")
PROGRAMS_FOLDER = "/usr/local/bin"
# kube-proxy in nftables mode calls nft; kmod loads its modules; conntrack is for those who debug it.
PROXY_PACKAGES = ("conntrack", "kmod", "nftables")
BUSYBOX_PACKAGES = ("busybox-static",)
BUSYBOX_BANNER = re.compile(rb"BusyBox v(\d+\.\d+)\.\d+ \(Debian ([^)]+)\)")
SHARE = "usr/share"
UNWANTED = ("dev", "etc/apt", "etc/dpkg", "etc/fstab", "etc/hostname", "etc/resolv.conf", "var", SHARE)
QUERY_DEADLINE = 60.0


@dataclass(frozen=True)
class Recipe:
    """How an image is made: where its program lies in it, and what starts when a pod does not say.

    kubeadm's static pods name the program of the control plane, but start CoreDNS by arguments alone.
    """

    program: str
    config: ImageConfig = field(default_factory=ImageConfig)


IMAGES = {
    "coredns": Recipe("/coredns", ImageConfig(("/coredns",))),
    "etcd": Recipe(f"{PROGRAMS_FOLDER}/etcd"),
    "kube-apiserver": Recipe(f"{PROGRAMS_FOLDER}/kube-apiserver"),
    "kube-controller-manager": Recipe(f"{PROGRAMS_FOLDER}/kube-controller-manager"),
    "kube-proxy": Recipe(f"{PROGRAMS_FOLDER}/kube-proxy"),
    "kube-scheduler": Recipe(f"{PROGRAMS_FOLDER}/kube-scheduler"),
    "pause": Recipe("/pause", ImageConfig(("/pause",))),
}


def wanted_images(kubeadm: Path, kubernetes: str) -> dict[str, str]:
    """Return `listed_images`; raises LabError if they are not the ones that are built here."""
    refs = listed_images(kubeadm, kubernetes)
    if refs.keys() != IMAGES.keys():
        raise LabError(
            f"kubeadm {kubernetes} wants the images {sorted(refs)}, but kubelab builds {sorted(IMAGES)}",
            hint="choose another version in lab.yaml: kubernetes",
        )
    return refs


def listed_images(kubeadm: Path, kubernetes: str) -> dict[str, str]:
    """Ask kubeadm itself which images it will start: short name -> full reference."""
    output = run_tool(
        [str(kubeadm), "config", "images", "list", "--kubernetes-version", f"v{kubernetes}"],
        deadline=QUERY_DEADLINE,
    )
    return {line.rpartition("/")[2].partition(":")[0]: line for line in output.split()}


def write_kubernetes_images(
    folder: Path, programs: Path, refs: Mapping[str, str], proxy_base: Path
) -> dict[str, str]:
    """Write the images of `refs` below `folder` from the programs in `programs`.

    `proxy_base` is the tar of kube-proxy's packages. Returns the reference of each file name.
    """
    for name, ref in refs.items():
        recipe = IMAGES[name]
        layer = minimal_root()
        if name == "kube-proxy":
            layer.unpack(proxy_base, wanted_file)
        layer.add(recipe.program, programs / name, mode=EXECUTABLE)
        for beside in ETCD_PROGRAMS if name == "etcd" else ():
            layer.add(f"{PROGRAMS_FOLDER}/{beside}", programs / beside, mode=EXECUTABLE)
        write_image(folder / f"{name}.tar", ref, layer, recipe.config)
    return {f"{name}.tar": ref for name, ref in refs.items()}


def write_busybox_image(folder: Path, packages: Path, work: Path) -> tuple[str, str]:
    """Write busybox.tar, the workload for checks, from the tar of its package; return its ref and version."""
    unpacked = Layer()
    unpacked.unpack(packages, lambda path: path == "usr/bin/busybox")
    program = unpacked.content("usr/bin/busybox")
    banner = BUSYBOX_BANNER.search(program)
    if banner is None:
        raise LabError("the program in the package busybox-static does not tell its version")
    binary = work / "busybox"
    binary.write_bytes(program)
    binary.chmod(EXECUTABLE)
    layer = minimal_root()
    layer.add("/bin/busybox", binary, mode=EXECUTABLE)
    for applet in run_tool([str(binary), "--list"], deadline=QUERY_DEADLINE).split():
        if applet != "busybox":
            layer.link(f"/bin/{applet}", "/bin/busybox")
    ref = f"docker.io/library/busybox:{banner[1].decode()}"
    write_image(folder / "busybox.tar", ref, layer, ImageConfig(command=("sh",)))
    return ref, banner[2].decode()


def wanted_file(path: str) -> bool:
    """Return whether a file of a package belongs into an image: programs and licences do, the rest not."""
    if path.endswith("/copyright"):
        return True
    return not any(path == unwanted or path.startswith(f"{unwanted}/") for unwanted in UNWANTED)


def move_programs(built: Path, binaries: Path) -> None:
    """Move the programs of the nodes, and the CNI plugins below `cni`, to where a bundle has them."""
    binaries.mkdir(parents=True)
    for name in (*NODE_PROGRAMS, *ETCD_PROGRAMS):
        shutil.move(built / name, binaries / name)
    shutil.move(built / "cni", binaries / "cni")
