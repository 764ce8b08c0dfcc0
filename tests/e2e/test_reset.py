"""`kubelab reset` after everything that people do to a cluster, and what befalls one."""

from __future__ import annotations

import threading

import pytest

from provision.providers.libvirt.virsh import Virsh
from tests.e2e.cluster import Cluster

CP, WORKER = "kubelab-e2e-cp1", "kubelab-e2e-w1"

DAMAGE = {
    "the control plane wiped": (CP, "rm -rf /etc/kubernetes"),
    "the worker's kubelet stopped and its keys gone": (
        WORKER,
        "systemctl disable --now kubelet 2>/dev/null; rm -rf /etc/kubernetes /var/lib/kubelet/pki",
    ),
    "etcd's data damaged": (
        CP,
        """for file in /var/lib/etcd/member/snap/db /var/lib/etcd/member/wal/*.wal; do
            dd if=/dev/urandom of="$file" bs=64k count=20 conv=notrunc status=none
        done
        # It may have noticed by itself.
        pkill -KILL -x etcd || true""",
    ),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_node_comes_back(cluster: Cluster, what: str) -> None:
    node, script = DAMAGE[what]
    cluster.kubelab("ssh", node, "--", "sudo", "sh", "-c", script)
    healed(cluster)


def test_a_deleted_node_and_deleted_system_pods_come_back(cluster: Cluster) -> None:
    cluster.kubelab("kubectl", "--", "delete", "node", WORKER, "--wait=false")
    system = ["--namespace=kube-system", "--all", "--wait=false"]
    cluster.kubelab("kubectl", "--", "delete", "deployments,daemonsets,pods,configmaps,services", *system)
    healed(cluster)


@pytest.mark.parametrize("nodes", [[WORKER], [CP, WORKER]], ids=["one machine", "all machines"])
def test_machines_that_lost_their_power_come_back(cluster: Cluster, nodes: list[str]) -> None:
    virsh, ids = Virsh(threading.Event()), cluster.context.machines.ids()
    for node in nodes:
        virsh("destroy", ids[node])
    healed(cluster)


def healed(cluster: Cluster) -> None:
    """Reset the lab; the last line of `status` fails the test unless all is well."""
    cluster.kubelab("reset")
    cluster.kubelab("status")
