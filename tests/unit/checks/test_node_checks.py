"""The shipped checks of every node: green on a healthy one, red for exactly what is wrong."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from provision.checks import test_access as access
from provision.checks.facts import (
    BRIDGE_FILTER,
    BRIDGE_FILTER_6,
    CONNECTION_TRACKING,
    CONTAINERD_CONFIG,
    HOSTNAME,
    IP_FORWARD,
    KUBELET_CONFIG,
    MACHINE_ID,
    SCRIPT,
    gather,
)
from provision.errors import CommandFailed, ConnectFailed
from provision.node.clock import Offset
from provision.node.registries import FOLDER, MARK
from provision.node.resolvers import RESOLV_CONF
from provision.node.tasks import FOLDER as TASKS
from provision.node.time_zone import LINK, ZONES
from provision.steps.nodes import hosts_files
from tests.fakes.checks.nodes import BLOCKS, KEYS, days_from_today
from tests.fakes.checks.world import World, make_world
from tests.fakes.node.credentials import CLIENT, KEY_DATA, SERVING, certificate
from tests.fakes.ssh import SshServer, new_key
from tests.sabotage import cluster, nodes
from tests.sabotage.nodes import WELL_KNOWN
from tests.sabotage.row import Sabotage

ROWS = [row for row in (*nodes.ROWS, *cluster.ROWS) if row.script]
Spoil = Callable[[World], object]
CONTAINERD_2 = """
version = 3
[plugins.'io.containerd.cri.v1.images']
  snapshotter = 'overlayfs'
[plugins.'io.containerd.cri.v1.runtime'.containerd]
  default_runtime_name = 'mine'
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
    SystemdCgroup = false
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.mine.options]
    SystemdCgroup = true
"""
MODULES = "the_kernel_modules_kubernetes_needs_are_loaded"
SYSCTLS = "the_sysctls_kubernetes_needs_are_set"
SWAP = "swap_is_off_and_stays_off"
CGROUPS = "only_cgroups_of_version_2_are_mounted"
DISKS = "the_further_disks_of_lab_yaml_are_there"
PRESSURE = "no_node_is_short_of_disk_memory_or_process_ids"
CONTAINERD = "containerd_runs_and_starts_at_boot"
KUBELET = "the_kubelet_runs_and_starts_at_boot"
KUBELET_VERSION = "the_kubelet_has_the_requested_version"
CONTAINERD_VERSION = "containerd_has_the_same_version_on_all_nodes"
DRIVER = "kubelet_and_containerd_have_the_same_cgroup_driver"
IMAGES = "every_image_of_the_bundle_is_there_and_pinned"
HOSTNAMES = "every_node_has_its_own_hostname"
MACHINE_IDS = "every_node_has_its_own_machine_id"
MACS = "every_node_has_its_own_mac_address"
INTERNAL_IPS = "every_node_has_its_own_internal_ip"
REGISTRIES = "the_registries_are_those_of_lab_yaml"
RESOLVERS = "the_resolvers_are_those_of_lab_yaml"
ZONE = "the_time_zone_is_that_of_lab_yaml"
PACKAGES = "the_packages_of_lab_yaml_are_installed"
BROUGHT = "the_scripts_and_files_of_lab_yaml_were_brought"
CLOCK = "the_clock_is_within_a_second_of_the_control_plane"
CERTIFICATES = "every_certificate_is_valid_and_has_days_left"
TOKENS = "every_bootstrap_token_expires"
AUTHORIZED = "no_user_has_authorized_the_well_known_vagrant_key"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def test_a_healthy_lab_is_green(world: World) -> None:
    assert world.red() == {}


def test_the_further_disks_are_those_of_lab_yaml(tmp_path: Path) -> None:
    world = make_world(tmp_path, workers={"count": 1, "disks": ["10GiB", "5GiB"]})
    # That of a user, plugged in later, is none of kubelab's.
    world.worker.write("/sys/block/vdx/serial", "mine")
    assert world.red() == {}
    world.worker.write("/sys/block/vdc/size", "1\n")
    assert list(world.red()) == [DISKS]


def test_the_packages_of_lab_yaml_are_installed_whole(tmp_path: Path) -> None:
    world = make_world(tmp_path, workers={"count": 1}, packages=["tree", "g++"])
    said = 'for name; do case $name in --*) ;; *) echo "installed $name";; esac; done'
    for node in world.nodes.values():
        node.program("dpkg-query", said)
    assert world.red() == {}
    world.worker.program("dpkg-query", "echo installed tree; echo half-installed g++; exit 1")
    red = world.red()
    assert {name: set(nodes) for name, nodes in red.items()} == {PACKAGES: {"lab-w1"}}
    assert "lacks these packages of lab.yaml, or has them in part: g++\n" in red[PACKAGES]["lab-w1"]


def test_a_lab_without_packages_of_its_own_is_not_asked_for_any(world: World) -> None:
    for node in world.nodes.values():
        node.program("dpkg-query", "touch asked")
    assert world.red() == {}
    assert not any(node.path("/asked").exists() for node in world.nodes.values())


def test_the_script_is_valid_shell_and_lets_no_private_key_out(world: World) -> None:
    done = subprocess.run(["sh", "-n"], input=SCRIPT, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    text = world.first.run(SCRIPT).stdout
    assert CLIENT in text
    assert "PRIVATE" not in text
    # The private key of the kubeconfigs here.
    assert KEY_DATA not in text


@pytest.mark.parametrize("row", ROWS, ids=[row.test for row in ROWS])
def test_every_sabotage_is_valid_shell(row: Sabotage) -> None:
    done = subprocess.run(["sh", "-n"], input=row.script, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_clock_that_is_being_set_is_measured_again(world: World) -> None:
    class Settling(dict[str, Offset]):
        def __getitem__(self, name: str) -> Offset:
            first = super().__getitem__(name)
            self[name] = Offset(-0.1, 0.1)
            return first

    world.offsets = Settling({**world.offsets, "lab-w1": Offset(-15, -14.9)})
    assert world.red() == {}


def test_an_empty_node_is_told_of_and_breaks_nothing(world: World) -> None:
    empty = world.worker
    for folder in ("etc", "proc", "sys", "var", "home"):
        (empty.root / folder).rename(empty.root / f"no-{folder}")
    empty.program("systemctl", "exit 4")
    empty.program("bash", "exit 1")
    empty.program("ip", "true")
    empty.write("/proc/swaps", BLOCKS)
    red = {name for name, said in world.red().items() if said.keys() & {"lab-w1", ""}}
    assert {MODULES, SYSCTLS, CGROUPS, CONTAINERD, KUBELET, HOSTNAMES, MACHINE_IDS, MACS, CERTIFICATES} <= red


def unit(active: str, enabled: str) -> str:
    return f'case $1 in is-active) printf "{active}";; *) printf "{enabled}";; esac; exit 3'


def spoil_node(kind: str, status: str) -> Spoil:
    """Let the API server say so of a condition of the first worker."""

    def spoil(world: World) -> None:
        found = world.find("Node", "lab-w1")["status"]["conditions"]
        next(each for each in found if each["type"] == kind)["status"] = status

    return spoil


def node_info(**fields: str) -> Spoil:
    return lambda world: world.find("Node", "lab-w1")["status"]["nodeInfo"].update(fields)


def write(path: str, text: str) -> Spoil:
    return lambda world: world.worker.write(path, text)


def remove(path: str) -> Spoil:
    return lambda world: world.worker.path(path).unlink()


def one_mac(world: World) -> None:
    mac = world.first.path("/sys/class/net/eth0/address").read_text()
    world.worker.write("/sys/class/net/sabotage/address", mac)
    world.worker.program(
        "ip",
        "echo '2: eth0    inet 192.168.60.21/24 scope global eth0'\n"
        "echo '9: sabotage    inet 192.168.60.250/32 scope global sabotage'",
    )


FAULTS: list[tuple[Spoil, str, str]] = [
    (write("/proc/filesystems", "nodev\tproc\n"), MODULES, "lab-w1 has not loaded overlay"),
    (remove(CONNECTION_TRACKING), MODULES, "nf_conntrack"),
    (write(IP_FORWARD, "0\n"), SYSCTLS, "net.ipv4.ip_forward is 0"),
    (write(BRIDGE_FILTER, "0\n"), SYSCTLS, "net.bridge.bridge-nf-call-iptables is 0"),
    (write(BRIDGE_FILTER_6, "0\n"), SYSCTLS, "net.bridge.bridge-nf-call-ip6tables is 0"),
    (write("/proc/swaps", f"{BLOCKS}/swapfile file 16380 0 -2\n"), SWAP, "it swaps to /swapfile"),
    (write("/etc/fstab", "# swap\n/dev/vdb none swap sw 0 0\n"), SWAP, "/etc/fstab turns /dev/vdb on"),
    (write("/etc/systemd/system/x.swap", "[Swap]\n"), SWAP, "/etc/systemd/system/x.swap turns swap on"),
    (write("/run/systemd/generator.late/y.swap", "[Swap]\n"), SWAP, "y.swap turns swap on"),
    (write("/proc/self/mounts", "tmpfs /sys/fs/cgroup tmpfs rw 0 0\n"), CGROUPS, "no cgroups of version 2"),
    (
        lambda world: world.replace(
            "/proc/self/mounts", "cgroup2 /sys", "cgroup /run/old cgroup rw 0 0\ncgroup2 /sys"
        ),
        CGROUPS,
        "version 1 at /run/old",
    ),
    (write("/sys/block/vdb/serial", "kubelab-1"), DISKS, "{'kubelab-1': ''}, lab.yaml says {}"),
    (spoil_node("DiskPressure", "True"), PRESSURE, "short of disk: DiskPressure said"),
    (spoil_node("MemoryPressure", "True"), PRESSURE, "short of memory"),
    (spoil_node("PIDPressure", "Unknown"), PRESSURE, "short of process ids"),
    (
        lambda world: world.worker.program("systemctl", unit("failed\\nactive\\n", "enabled\\nenabled\\n")),
        CONTAINERD,
        "containerd on lab-w1 is failed",
    ),
    (
        lambda world: world.worker.program("systemctl", unit("active\\nactive\\n", "disabled\\nenabled\\n")),
        CONTAINERD,
        "containerd on lab-w1 does not start at boot: its unit is disabled",
    ),
    (
        lambda world: world.worker.program("systemctl", unit("active\\ninactive\\n", "enabled\\nenabled\\n")),
        KUBELET,
        "the kubelet on lab-w1 is inactive",
    ),
    (
        lambda world: world.worker.program("systemctl", unit("active\\nactive\\n", "enabled\\nmasked\\n")),
        KUBELET,
        "the kubelet on lab-w1 does not start at boot: its unit is masked",
    ),
    (
        lambda world: world.worker.program(
            "bash", 'case "$*" in *proxyMode*) echo nftables;; *) exit 1;; esac'
        ),
        KUBELET,
        "its health endpoint does not answer 200",
    ),
    (node_info(kubeletVersion="v1.36.2"), KUBELET_VERSION, "v1.36.2, but lab.yaml asks for v1.36.3"),
    (node_info(containerRuntimeVersion="containerd://2.1.0"), CONTAINERD_VERSION, "but lab-cp1 has"),
    (node_info(containerRuntimeVersion="containerd://1.6.20"), CONTAINERD_VERSION, "needs 1.7 or newer"),
    (node_info(containerRuntimeVersion="cri-o://1.36.0"), CONTAINERD_VERSION, "not containerd"),
    (
        lambda world: world.replace(CONTAINERD_CONFIG, "SystemdCgroup = true", "SystemdCgroup = false"),
        DRIVER,
        "systemd for the kubelet, but cgroupfs for containerd",
    ),
    (
        lambda world: world.replace(KUBELET_CONFIG, "systemd", "cgroupfs"),
        DRIVER,
        "cgroupfs for the kubelet, but systemd for containerd",
    ),
    (
        lambda world: world.worker.program("ctr", "echo docker.io/library/busybox:1.37"),
        IMAGES,
        "lab-w1 lacks these images.*: registry.k8s.io/pause:3.10.2",
    ),
    (lambda world: world.worker.program("ctr", "exit 1"), IMAGES, "lab-w1 lacks these images"),
    (
        write(f"{FOLDER}/old.lab/hosts.toml", f"{MARK}\n"),
        REGISTRIES,
        "has what lab.yaml does not say: .*/old.lab/hosts.toml",
    ),
    (write(RESOLV_CONF, "nameserver 192.0.2.1\n"), RESOLVERS, "asks 192.0.2.1 for names, .*192.168.60.1"),
    (remove(RESOLV_CONF), RESOLVERS, "asks nobody for names"),
    (
        lambda world: world.worker.path(LINK).symlink_to(world.worker.path(f"{ZONES}/Asia/Seoul")),
        ZONE,
        "the time zone of lab-w1 is Asia/Seoul, but lab.yaml says UTC",
    ),
    (write(f"{TASKS}/abc", "done\n"), BROUGHT, f"lab-w1 has what lab.yaml does not say: {TASKS}/abc"),
    (
        lambda world: world.offsets.update({"lab-w1": Offset(1.4, 1.5)}),
        CLOCK,
        "the clock of lab-w1 is 1.1 s ahead of that of lab-cp1",
    ),
    (lambda world: world.offsets.update({"lab-w1": Offset(-300.2, -300)}), CLOCK, "299.7 s behind"),
    (write(SERVING, certificate(days_from_today(0.9))), CERTIFICATES, "kubelet.crt expires in 2[12] hours"),
    (write(CLIENT, certificate(days_from_today(-1))), CERTIFICATES, "kubelet-client-current.pem expired on"),
    (remove(CLIENT), CERTIFICATES, "the kubelet on lab-w1 has no certificate"),
    (write(KEYS, f"# lab\n{WELL_KNOWN[0]} vagrant\n"), AUTHORIZED, "/home/vagrant/.ssh/authorized_keys"),
    (write("/root/.ssh/authorized_keys2", f'from="*" {WELL_KNOWN[1]}'), AUTHORIZED, "/root/.ssh"),
]


@pytest.mark.parametrize(
    ("spoil", "test", "said"), FAULTS, ids=[f"{fault[1]}-{fault[2]}" for fault in FAULTS]
)
def test_what_is_wrong_on_a_worker_turns_one_test_red(
    world: World, spoil: Spoil, test: str, said: str
) -> None:
    spoil(world)
    red = world.red()
    assert {name: set(nodes) for name, nodes in red.items()} == {test: {"lab-w1"}}
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(red[test]["lab-w1"])


SHARED: list[tuple[Spoil, str, str]] = [
    (write(HOSTNAME, "lab-cp1\n"), HOSTNAMES, "lab-cp1 of lab-cp1 and lab-w1"),
    (write(HOSTNAME, "localhost\n"), HOSTNAMES, "lab-w1 has the hostname localhost"),
    (
        lambda world: world.worker.write(MACHINE_ID, world.first.path(MACHINE_ID).read_text()),
        MACHINE_IDS,
        "of lab-cp1 and lab-w1",
    ),
    (write(MACHINE_ID, ""), MACHINE_IDS, "no machine-id: lab-w1"),
    (one_mac, MACS, "of lab-cp1 and lab-w1"),
    (lambda world: world.worker.program("ip", "true"), MACS, "no address in the node network"),
    (
        lambda world: world.find("Node", "lab-w1")["status"].update(
            addresses=[{"type": "InternalIP", "address": "192.168.60.11"}]
        ),
        INTERNAL_IPS,
        "192.168.60.11 of lab-cp1 and lab-w1",
    ),
    (
        lambda world: world.find("Node", "lab-w1")["status"].update(
            addresses=[{"type": "InternalIP", "address": "10.0.2.15"}]
        ),
        INTERNAL_IPS,
        "lab-w1 has the InternalIP 10.0.2.15, not 192.168.60.21",
    ),
    (
        lambda world: world.api.answer(
            "get secrets*", "bootstrap-token-abcdef MjA=\nbootstrap-token-sabota \n"
        ),
        TOKENS,
        "^bootstrap-token-sabota never expires",
    ),
]


@pytest.mark.parametrize(
    ("spoil", "test", "said"), SHARED, ids=[f"{fault[1]}-{fault[2]}" for fault in SHARED]
)
def test_what_is_wrong_between_nodes_turns_one_test_red(
    world: World, spoil: Spoil, test: str, said: str
) -> None:
    spoil(world)
    red = world.red()
    assert {name: set(nodes) for name, nodes in red.items()} == {test: {""}}
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(red[test][""])


def test_a_module_that_filters_bridges_brings_its_sysctls(world: World) -> None:
    for path in (BRIDGE_FILTER, BRIDGE_FILTER_6):
        world.worker.path(path).unlink()
    red = world.red()
    assert red.keys() == {MODULES, SYSCTLS}
    assert "br_netfilter" in red[MODULES]["lab-w1"]


def test_a_masked_swap_unit_swaps_nothing(world: World) -> None:
    world.worker.write("/etc/systemd/system/other", "")
    world.worker.path("/etc/systemd/system/dev-vdb.swap").symlink_to("/dev/null")
    assert world.red() == {}


def test_containerd_2_says_its_cgroup_driver_elsewhere(world: World) -> None:
    world.worker.write(CONTAINERD_CONFIG, CONTAINERD_2)
    assert world.red() == {}
    world.replace(CONTAINERD_CONFIG, "'mine'", "'runc'")
    assert world.red().keys() == {DRIVER}


def test_registries_are_asked_for_a_file_of_kubelabs_or_of_the_users_own(tmp_path: Path) -> None:
    world = make_world(tmp_path, registryMirrors={"docker.io": ["http://192.168.60.1:5000"]})
    path = f"{FOLDER}/docker.io/hosts.toml"
    assert set(world.red()[REGISTRIES]) == {"lab-cp1", "lab-w1", "lab-w2"}
    for node in world.nodes.values():
        node.write(path, hosts_files(world.ctx)[path].content)
    assert world.red() == {}
    world.worker.write(path, "server = 'https://mine.test'\n")
    assert world.red() == {}
    world.replace(CONTAINERD_CONFIG, FOLDER, "/elsewhere")
    assert "does not read" in world.red()[REGISTRIES]["lab-w1"]
    world.replace(CONTAINERD_CONFIG, "/elsewhere", f"{FOLDER}:/etc/docker/certs.d")
    assert world.red() == {}


def test_one_address_behind_every_nat_is_well(world: World) -> None:
    for node in world.ctx.inventory.nodes:
        sandbox = world.nodes[node.name]
        sandbox.write("/sys/class/net/eth1/address", "52:54:00:12:34:56\n")
        sandbox.program(
            "ip",
            f"echo '2: eth1    inet 10.0.2.15/24 scope global eth1'\n"
            f"echo '3: eth0    inet {node.ip}/24 scope global eth0'",
        )
    assert world.red() == {}


def test_a_node_that_does_not_answer_keeps_no_other_from_being_looked_at(world: World) -> None:
    def refuse(script: str) -> None:
        raise ConnectFailed("lab-w2", "no SSH connection")

    world.nodes["lab-w2"].after = refuse
    facts = gather(world.ctx)
    assert set(facts) == {"lab-cp1", "lab-w1"}
    with pytest.raises(ConnectFailed, match="lab-w2: no SSH connection"):
        facts["lab-w2"]
    assert world.red()[CONTAINERD] == {"lab-w2": "lab-w2: no SSH connection"}


def test_a_script_that_fails_on_one_node_is_that_nodes_fault(world: World) -> None:
    world.worker.program("ip", "echo broken >&2; exit 1")
    with pytest.raises(CommandFailed, match="lab-w1: `look at the node`"):
        gather(world.ctx)["lab-w1"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SshServer]:
    with SshServer(tmp_path / "sshd") as running:
        yield running


def test_a_key_that_opens_is_told_from_one_that_is_refused(server: SshServer, tmp_path: Path) -> None:
    point = server.endpoint()
    assert access.accepts(point, 5)
    new_key(tmp_path / "other")
    other = access.dataclasses.replace(point, key_file=tmp_path / "other")
    assert not access.accepts(other, 5)
    assert server.connections == 1


def test_a_server_that_does_not_answer_has_refused_nothing(server: SshServer) -> None:
    point = server.endpoint()
    server.closing.set()
    server._socket.close()
    with pytest.raises(ConnectFailed):
        access.accepts(point, 5)


def test_the_keys_to_try_are_those_in_vagrants_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, world: World
) -> None:
    monkeypatch.setenv("VAGRANT_HOME", str(tmp_path))
    check = access.test_a_login_with_the_well_known_vagrant_key_is_refused
    with pytest.raises(pytest.skip.Exception, match="no copy of Vagrant's"):
        check(world.ctx.inventory.first, world.lab)  # type: ignore[arg-type]
    (tmp_path / "insecure_private_keys").mkdir()
    files = [tmp_path / "insecure_private_key", tmp_path / "insecure_private_keys/vagrant.key.ed25519"]
    for file in files:
        file.write_text("key")
    assert access.keys_at_hand() == files
    tried = []

    def opens(ctx: object, node: object, key: Path) -> bool:
        tried.append(key)
        return key == files[1]

    monkeypatch.setattr(access, "opens", opens)
    with pytest.raises(AssertionError, match=r"it accepted .*vagrant\.key\.ed25519"):
        check(world.ctx.inventory.first, world.lab)  # type: ignore[arg-type]
    assert tried == files


def test_a_login_is_tried_at_the_nodes_own_address(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    seen = []
    monkeypatch.setattr(access, "accepts", lambda point, timeout: bool(seen.append(point)))
    node = world.ctx.inventory.first
    assert not access.opens(world.ctx, node, Path("/insecure"))
    (point,) = seen
    assert (point.host, point.user, point.key_file) == (node.ip, "vagrant", Path("/insecure"))
    assert point.known_hosts == world.ctx.workspace.known_hosts
