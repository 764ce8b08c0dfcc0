"""Every node, looked at with testinfra: each test here runs once for each node of the lab.

`node` is a testinfra host whose commands run as root. All that testinfra has is there (node.service,
node.file, node.sysctl, node.run, ...), and besides it node.name, node.ip, node.role.
"""

import pytest

# These tests only read, so `kubelab verify --quick --tests DIR` runs them, too.
pytestmark = pytest.mark.quick

FREE_GIB = 1


# Parameters of your own go beside the node: test_...[lab-w1-kubelet].
@pytest.mark.parametrize("unit", ["containerd", "kubelet"])
# Printed below a failure, with the name of the node for {node}.
@pytest.mark.look("kubelab ssh {node} -- sudo journalctl -u kubelet -u containerd -e")
def test_it_runs_and_starts_at_boot(node, unit):
    service = node.service(unit)
    assert service.is_running
    assert service.is_enabled


def test_packets_are_forwarded(node):
    assert node.sysctl("net.ipv4.ip_forward") == 1


def test_only_a_control_plane_holds_the_key_of_the_cluster(node):
    assert node.file("/etc/kubernetes/pki/ca.key").exists == node.is_control_plane


def test_the_disk_has_room(node):
    # Arguments are quoted for the shell. A command that hangs fails the test after 60 s, or `timeout=`.
    free = node.run("df --output=avail --block-size=1G %s | tail -n 1", "/var/lib", timeout=10)
    assert int(free.stdout) >= FREE_GIB, f"{node} has only {free.stdout.strip()} GiB free"
