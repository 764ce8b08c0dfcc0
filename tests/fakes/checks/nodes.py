"""Nodes on which nothing is wrong."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from provision.checks.facts import (
    BLOCK_DEVICES,
    BRIDGE_FILTER,
    BRIDGE_FILTER_6,
    CNI_FOLDER,
    CONNECTION_TRACKING,
    CONTAINERD_CONFIG,
    HOSTNAME,
    IP_FORWARD,
    KUBELET_CONFIG,
    MACHINE_ID,
)
from provision.config.inventory import Node, disk_serial
from provision.errors import Result
from provision.node.resolvers import RESOLV_CONF
from provision.templates import data, environment
from tests.fakes.checks.objects import Object
from tests.fakes.node.credentials import CLIENT, NOW, PKI, SERVING, certificate, kubeconfig
from tests.fakes.node.sandbox import Sandbox

CONFLIST = f"{CNI_FOLDER}/10-kubelab-bridge.conflist"
BLOCKS = "Filename\tType\tSize\tUsed\tPriority\n"
KEYS = "/home/vagrant/.ssh/authorized_keys"
TOOLS = ("awk", "timeout")


def days_from_today(days: float) -> float:
    """Return how many days after NOW it is in `days`: certificates are judged by the real time."""
    return (time.time() - NOW) / 86400 + days


class Place(Sandbox):
    """A sandbox that names its files as a node does."""

    def run(self, command: str | Sequence[str], **options: Any) -> Result:
        result = super().run(command, **options)
        return Result(result.stdout.replace(str(self.root), ""), result.stderr, result.code)


def healthy_node(node: Node, root: Path) -> Sandbox:
    """Return a node on which nothing is wrong, in the folder `root`."""
    made = Place(node.name, root)
    for tool in TOOLS:
        (made.bin / tool).symlink_to(shutil.which(tool) or "/missing")
    made.program(
        "systemctl",
        'case $1 in is-active) printf "active\\nactive\\n";; *) printf "enabled\\nenabled\\n";; esac',
    )
    made.program("bash", 'case "$*" in *proxyMode*) echo nftables;; *) echo HTTP/1.0 200 OK;; esac')
    made.program("ctr", "echo registry.k8s.io/pause:3.10.2; echo docker.io/library/busybox:1.37")
    made.program(
        "ip",
        f"""echo '1: lo    inet 127.0.0.1/8 scope host lo'
        echo '2: eth0    inet {node.ip}/24 metric 1024 brd 192.168.60.255 scope global dynamic eth0'
        echo '3: cni0    inet 10.244.{node.index}.1/24 brd 10.244.1.255 scope global cni0'""",
    )
    conflist = environment().get_template("templates/cni/bridge.conflist.j2").render(node=node, mtu=1500)
    containerd = (
        environment().get_template("templates/containerd/config-v2.toml.j2").render(pause_image="pause")
    )
    files = {
        "/proc/filesystems": "nodev\tproc\nnodev\toverlay\n\text4\n",
        "/proc/self/mounts": "/dev/vda2 / ext4 rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n",
        "/proc/swaps": BLOCKS,
        IP_FORWARD: "1\n",
        BRIDGE_FILTER: "1\n",
        BRIDGE_FILTER_6: "1\n",
        CONNECTION_TRACKING: "65536\n",
        HOSTNAME: f"{node.name}\n",
        "/sys/class/net/eth0/address": f"{node.mac}\n",
        "/sys/class/net/cni0/address": "aa:bb:cc:dd:ee:ff\n",
        "/etc/fstab": data("templates/box/overlay/etc/fstab").read_text(),
        MACHINE_ID: f"{hashlib.md5(node.name.encode()).hexdigest()}\n",
        CONTAINERD_CONFIG: containerd,
        RESOLV_CONF: "nameserver 192.168.60.1\n",
        KUBELET_CONFIG: "kind: KubeletConfiguration\ncgroupDriver: systemd\n",
        CONFLIST: conflist,
        KEYS: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBwBnzJ4ZKkQfV1pmjb1xQvM0lP0f0cI5hDJ0kYd0f2k lab\n",
        CLIENT: certificate(days_from_today(300))
        + "-----BEGIN EC PRIVATE KEY-----\nsecret\n-----END EC PRIVATE KEY-----\n",
        SERVING: certificate(days_from_today(300)),
    }
    if node.is_control_plane:
        files |= {
            f"{PKI}/apiserver.crt": certificate(days_from_today(300)),
            "/etc/kubernetes/admin.conf": kubeconfig(days_from_today(300)),
            "/etc/kubernetes/manifests/etcd.yaml": "kind: Pod\n",
        }
        made.program("curl", f"echo '{members(node.name)}'")
    for number, gib in enumerate(node.disks, 1):
        folder = f"{BLOCK_DEVICES}/vd{chr(ord('a') + number)}"
        # The kernel ends a serial number without a newline.
        files |= {f"{folder}/serial": disk_serial(number), f"{folder}/size": f"{gib * 2**21}\n"}
    for path, text in files.items():
        made.write(path, text)
    return made


def members(*names: str, learner: bool = False) -> str:
    """Return etcd's answer that it has these members, the last one a learner."""
    found: list[Object] = [{"ID": str(number), "name": name} for number, name in enumerate(names)]
    if learner:
        found[-1]["isLearner"] = True
    return json.dumps({"header": {}, "members": found})
