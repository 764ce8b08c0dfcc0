"""A healthy lab for the shipped checks: what its nodes and its API server say, to be spoiled by a test."""

from __future__ import annotations

import datetime as dt
import hashlib
import inspect
import json
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from provision.checks import (
    test_access,
    test_certificates,
    test_clock,
    test_cluster,
    test_identity,
    test_runtime,
    test_system,
)
from provision.checks.facts import gather
from provision.checks.facts_script import (
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
from provision.checks.state import ClusterState
from provision.cluster.health import COMPONENTS
from provision.cni.none import NoCni
from provision.config.inventory import MTU, Node
from provision.errors import LabError, Result
from provision.node.clock import Offset
from provision.templates import data, environment
from provision.testing.kubectl import LabKubectl
from tests.fakes.cluster.kubectl import StubKubectl
from tests.fakes.lab import FakeContext, make_lab
from tests.fakes.node.credentials import CLIENT, NOW, PKI, SERVING, certificate, kubeconfig
from tests.fakes.node.sandbox import Sandbox

Object = dict[str, Any]

CONFLIST = f"{CNI_FOLDER}/10-kubelab-bridge.conflist"
BLOCKS = "Filename\tType\tSize\tUsed\tPriority\n"
KEYS = "/home/vagrant/.ssh/authorized_keys"
TOOLS = ("awk", "timeout")
MODULES = (
    test_access,
    test_certificates,
    test_clock,
    test_cluster,
    test_identity,
    test_runtime,
    test_system,
)
CHECKS = tuple(
    check
    for module in MODULES
    for name, check in vars(module).items()
    if name.startswith("test_")
    and check is not test_access.test_a_login_with_the_well_known_vagrant_key_is_refused
)


def stamp(ago: float) -> str:
    """Return Kubernetes' text for the time `ago` seconds before NOW."""
    return dt.datetime.fromtimestamp(NOW - ago, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


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
    made.program("bash", "echo HTTP/1.0 200 OK")
    made.program(
        "ip",
        f"""echo '1: lo    inet 127.0.0.1/8 scope host lo'
        echo '2: eth0    inet {node.ip}/24 metric 1024 brd 192.168.60.255 scope global dynamic eth0'
        echo '3: cni0    inet 10.244.{node.index}.1/24 brd 10.244.1.255 scope global cni0'""",
    )
    conflist = environment().get_template("templates/cni/bridge.conflist.j2").render(node=node, mtu=MTU)
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
    for path, text in files.items():
        made.write(path, text)
    return made


def members(*names: str, learner: bool = False) -> str:
    """Return etcd's answer that it has these members, the last one a learner."""
    found: list[Object] = [{"ID": str(number), "name": name} for number, name in enumerate(names)]
    if learner:
        found[-1]["isLearner"] = True
    return json.dumps({"header": {}, "members": found})


def conditions(**wanted: str) -> list[Object]:
    return [{"type": kind, "status": status, "message": f"{kind} said"} for kind, status in wanted.items()]


def node_object(node: Node) -> Object:
    labels = {"node-role.kubernetes.io/control-plane": ""} if node.is_control_plane else {}
    return {
        "kind": "Node",
        "metadata": {"name": node.name, "labels": labels},
        "status": {
            "addresses": [{"type": "InternalIP", "address": node.ip}],
            "conditions": conditions(
                Ready="True", DiskPressure="False", MemoryPressure="False", PIDPressure="False"
            ),
            "nodeInfo": {"kubeletVersion": "v1.36.3", "containerRuntimeVersion": "containerd://1.7.24~ds1"},
        },
    }


def pod_object(name: str, container: str, image: str, namespace: str = "kube-system") -> Object:
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"containers": [{"name": container, "image": image}]},
        "status": {
            "phase": "Running",
            "conditions": conditions(Ready="True"),
            "containerStatuses": [
                {"name": container, "restartCount": 0, "state": {"running": {"startedAt": stamp(900)}}}
            ],
        },
    }


def rollout(kind: str, name: str, namespace: str = "kube-system") -> Object:
    status = {"readyReplicas": 1, "numberReady": 1, "desiredNumberScheduled": 1, "observedGeneration": 1}
    return {
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, "generation": 1},
        "spec": {"replicas": 1},
        "status": status,
    }


def lease(namespace: str, name: str, ago: float = 2) -> Object:
    metadata = {"namespace": namespace, "name": name}
    return {"kind": "Lease", "metadata": metadata, "spec": {"renewTime": stamp(ago)}}


def namespace_object(name: str, labels: dict[str, str] | None = None) -> Object:
    return {"kind": "Namespace", "metadata": {"name": name, "labels": labels or {}}}


def healthy_objects(ctx: FakeContext) -> list[Object]:
    """Return what the API server says of a cluster on which nothing is wrong."""
    first = ctx.inventory.first.name
    images = {name: f"registry.k8s.io/{name}:v1.36.3" for name in COMPONENTS}
    images["etcd"] = "registry.k8s.io/etcd:3.6.8-0"
    return [
        *(node_object(node) for node in ctx.inventory.nodes),
        *(namespace_object(name) for name in ("default", "kube-system")),
        *(pod_object(f"{name}-{first}", name, image) for name, image in images.items()),
        pod_object("kube-proxy-x", "kube-proxy", "registry.k8s.io/kube-proxy:v1.36.3"),
        pod_object("coredns-x", "coredns", "registry.k8s.io/coredns/coredns:v1.14.1"),
        rollout("Deployment", "coredns"),
        rollout("DaemonSet", "kube-proxy"),
        *(lease("kube-node-lease", node.name) for node in ctx.inventory.nodes),
        *(lease("kube-system", name) for name in ("kube-scheduler", "kube-controller-manager")),
        {
            "kind": "APIService",
            "metadata": {"name": "v1."},
            "status": {"conditions": conditions(Available="True")},
        },
    ]


@dataclass
class World:
    """A lab of one control plane and two workers; a test spoils `nodes`, `objects`, `offsets` or `api`."""

    ctx: FakeContext
    nodes: dict[str, Sandbox]
    objects: list[Object]
    api: StubKubectl
    offsets: dict[str, Offset]

    @property
    def lab(self) -> Any:
        """Return what the checks know as the lab."""
        ctx = self.ctx
        return SimpleNamespace(
            context=ctx,
            config=ctx.config,
            inventory=ctx.inventory,
            version=ctx.version,
            scaled=ctx.scaled,
            nodes=ctx.inventory.nodes,
            control_plane=ctx.inventory.first,
        )

    @property
    def worker(self) -> Sandbox:
        return self.nodes["lab-w1"]

    @property
    def first(self) -> Sandbox:
        return self.nodes["lab-cp1"]

    def find(self, kind: str, name: str) -> Object:
        """Return the object that the API server shows, to be changed."""
        return next(item for item in self.objects if (item["kind"], item["metadata"]["name"]) == (kind, name))

    def replace(self, path: str, old: str, new: str) -> None:
        """Change a file of the first worker."""
        text = self.worker.path(path).read_text()
        assert old in text
        self.worker.write(path, text.replace(old, new))

    def red(self) -> dict[str, dict[str, str]]:
        """Run all checks but the one that logs in; return of the red ones what each says, by node or ""."""
        offered: dict[str, Any] = {
            "lab": self.lab,
            "facts": gather(self.ctx),
            "cluster": ClusterState(tuple(self.objects), NOW),
            "kubectl": LabKubectl(self.ctx),
            "offset": self.offsets.__getitem__,
        }
        found: dict[str, dict[str, str]] = {}
        for check in CHECKS:
            wanted = inspect.signature(check).parameters
            for node in self.ctx.inventory.nodes if "node" in wanted else (None,):
                given = {**offered, "node": node}
                try:
                    check(**{name: given[name] for name in wanted})
                except (AssertionError, LabError, pytest.fail.Exception) as error:
                    said = found.setdefault(check.__name__.removeprefix("test_"), {})
                    said[node.name if node else ""] = str(error)
        return found


def make_world(root: Path, *, factor: float = 1.0, **keys: Any) -> World:
    """Return a healthy lab in the folder `root`; `keys` are those of lab.yaml."""
    nodes: dict[str, Sandbox] = {}
    changes: dict[str, Any] = {"connect": lambda node: nodes[node.name]}
    if keys.get("cni") == "none":
        changes["cni"] = NoCni()
    lab = make_lab(root, factor=factor, changes=changes, **keys)
    ctx = lab.ctx
    for node in ctx.inventory.nodes:
        nodes[node.name] = healthy_node(node, root / "nodes" / node.name)
    ctx.workspace.kubeconfig.write_text("{}")
    os.utime(ctx.workspace.kubeconfig, (NOW - 600, NOW - 600))
    lab.kubectl.answer("get --raw /version", json.dumps({"gitVersion": "v1.36.3"}))
    lab.kubectl.answer("get --raw /*verbose", "[+]ping ok\n[+]etcd ok\nreadyz check passed\n")
    lab.kubectl.answer("get secrets*", "bootstrap-token-abcdef MjAyNy0wMS0xNVQwOTowMDowMFo=\n")
    offsets = {name: Offset(-0.3, 0.3) for name in nodes}
    return World(ctx, nodes, healthy_objects(ctx), lab.kubectl, offsets)
