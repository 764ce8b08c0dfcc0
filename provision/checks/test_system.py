"""Every node: the system settings that Kubernetes needs."""

from __future__ import annotations

import pytest

from provision.checks.facts import (
    BLOCK_DEVICES,
    BRIDGE_FILTER,
    BRIDGE_FILTER_6,
    CONNECTION_TRACKING,
    IP_FORWARD,
    AllFacts,
    NodeFacts,
)
from provision.checks.state import ClusterState
from provision.config.inventory import DISK_SERIAL, disk_serial
from provision.node.resolvers import RESOLV_CONF, resolvers, resolvers_in
from provision.node.tasks import FOLDER as TASKS
from provision.node.tasks import digest
from provision.node.time_zone import LINK
from provision.testing.lab import LabUnderTest
from provision.testing.node import LabNode

pytestmark = pytest.mark.quick

SYSCTLS = (IP_FORWARD, BRIDGE_FILTER, BRIDGE_FILTER_6)
PRESSURES = {"DiskPressure": "disk", "MemoryPressure": "memory", "PIDPressure": "process ids"}
SECTORS_A_GIB = 2**21
CGROUPS = "/sys/fs/cgroup"


@pytest.mark.look("kubelab ssh {node} -- 'lsmod; cat /etc/modules-load.d/*'")
def test_the_kernel_modules_kubernetes_needs_are_loaded(node: LabNode, facts: AllFacts) -> None:
    said = facts[node.name]
    # Checked by their effect: a module that is built into the kernel is in no list of modules.
    there = {
        "overlay": "overlay" in said.file("/proc/filesystems").split(),
        "br_netfilter": BRIDGE_FILTER in said.files,
        "nf_conntrack": CONNECTION_TRACKING in said.files,
    }
    missing = ", ".join(name for name, loaded in there.items() if not loaded)
    assert not missing, f"{node.name} has not loaded {missing}"


@pytest.mark.look("kubelab ssh {node} -- sudo sysctl net.ipv4.ip_forward net.bridge")
def test_the_sysctls_kubernetes_needs_are_set(node: LabNode, facts: AllFacts) -> None:
    said = facts[node.name]
    values = {path: said.file(path).strip() or "missing" for path in SYSCTLS}
    off = ", ".join(
        f"{path.removeprefix('/proc/sys/').replace('/', '.')} is {value}"
        for path, value in values.items()
        if value != "1"
    )
    assert not off, f"{node.name}: {off}; each must be 1"


@pytest.mark.look("kubelab ssh {node} -- 'cat /proc/swaps /etc/fstab; systemctl list-unit-files *.swap'")
def test_swap_is_off_and_stays_off(node: LabNode, facts: AllFacts) -> None:
    faults = _swap(facts[node.name])
    assert not faults, f"{node.name}: {'; '.join(faults)}"


@pytest.mark.look("kubelab ssh {node} -- grep cgroup /proc/mounts")
def test_only_cgroups_of_version_2_are_mounted(node: LabNode, facts: AllFacts) -> None:
    mounts = [line.split()[1:3] for line in facts[node.name].file("/proc/self/mounts").splitlines()]
    old = ", ".join(place for place, kind in mounts if kind == "cgroup")
    assert not old, f"{node.name} has cgroups of version 1 at {old}"
    assert [CGROUPS, "cgroup2"] in mounts, f"{node.name} has no cgroups of version 2 at {CGROUPS}"


@pytest.mark.look("kubelab ssh {node} -- lsblk --output NAME,SIZE,SERIAL")
def test_the_further_disks_of_lab_yaml_are_there(node: LabNode, lab: LabUnderTest, facts: AllFacts) -> None:
    sizes = lab.inventory.node(node.name).disks
    wanted = {disk_serial(number): str(gib * SECTORS_A_GIB) for number, gib in enumerate(sizes, 1)}
    found = _further_disks(facts[node.name])
    assert found == wanted, (
        f"{node.name} has the further disks {found}, lab.yaml says {wanted}, in sectors of 512 bytes"
    )


@pytest.mark.look("kubelab kubectl -- describe node {node}")
def test_no_node_is_short_of_disk_memory_or_process_ids(node: LabNode, cluster: ClusterState) -> None:
    conditions = {each["type"]: each for each in cluster.node(node.name)["status"].get("conditions") or []}
    faults = []
    for kind, words in PRESSURES.items():
        condition = conditions.get(kind, {"status": "Unknown"})
        if condition["status"] != "False":
            faults.append(f"{words}: {condition.get('message') or 'its kubelet has not reported it'}")
    assert not faults, f"{node.name} is short of {'; '.join(faults)}"


@pytest.mark.look(f"kubelab up writes it; kubelab ssh {{node}} -- cat {RESOLV_CONF}")
def test_the_resolvers_are_those_of_lab_yaml(node: LabNode, lab: LabUnderTest, facts: AllFacts) -> None:
    found, wanted = (
        ", ".join(addresses) or "nobody"
        for addresses in (
            resolvers_in(facts[node.name].file(RESOLV_CONF)),
            resolvers(lab.config, lab.inventory),
        )
    )
    assert found == wanted, f"{node.name} asks {found} for names, but lab.yaml says {wanted}"


@pytest.mark.look(f"kubelab up sets it; kubelab ssh {{node}} -- ls -l {LINK}")
def test_the_time_zone_is_that_of_lab_yaml(node: LabNode, lab: LabUnderTest, facts: AllFacts) -> None:
    zone, wanted = facts[node.name].time_zone, lab.config.time_zone
    assert zone == wanted, f"the time zone of {node.name} is {zone}, but lab.yaml says {wanted}"


@pytest.mark.look("kubelab ssh {node} -- dpkg --list")
def test_the_packages_of_lab_yaml_are_installed(node: LabNode, lab: LabUnderTest, facts: AllFacts) -> None:
    missing = ", ".join(name for name in lab.config.packages if name not in facts[node.name].packages)
    assert not missing, f"{node.name} lacks these packages of lab.yaml, or has them in part: {missing}"


@pytest.mark.look("kubelab up does what is missing")
def test_the_scripts_and_files_of_lab_yaml_were_brought(
    node: LabNode, lab: LabUnderTest, facts: AllFacts
) -> None:
    done = set(facts[node.name].below(f"{TASKS}/"))
    given = {f"{TASKS}/{digest(task)}": task.source for task in lab.inventory.node(node.name).tasks}
    missing = ", ".join(source for place, source in given.items() if place not in done)
    assert not missing, f"{node.name} has not got, or not as it is now: {missing}"
    assert done <= given.keys(), (
        f"{node.name} has what lab.yaml does not say: {', '.join(done - given.keys())}"
    )


def _further_disks(said: NodeFacts) -> dict[str, str]:
    """Return serial -> sectors of the disks that have a serial number of kubelab's."""
    found = {}
    for path, text in said.below(f"{BLOCK_DEVICES}/").items():
        if path.endswith("/serial") and text.startswith(DISK_SERIAL):
            found[text.strip()] = said.file(f"{path.removesuffix('serial')}size").strip()
    return found


def _swap(said: NodeFacts) -> list[str]:
    """Return what is used for swap now, and what would be after the next boot."""
    active = [line.split()[0] for line in said.file("/proc/swaps").splitlines()[1:]]
    entries = [line.split("#")[0].split() for line in said.file("/etc/fstab").splitlines()]
    listed = [entry[0] for entry in entries if entry[2:3] == ["swap"]]
    return [
        *(f"it swaps to {name}" for name in active),
        *(f"/etc/fstab turns {name} on at boot" for name in listed),
        *(f"the unit {unit} turns swap on at boot" for unit in said.swap_units),
    ]
