from __future__ import annotations

import dataclasses
import os
import re
import stat
import time
import tomllib
from pathlib import Path

import pytest

from provision.cni.none import NoCni
from provision.config.schema import Kubeadm
from provision.errors import CommandFailed, NodesError, StepFailed
from provision.kubeadm.patches import FOLDER as PATCHES
from provision.node import images, time_zone
from provision.node.emulation import UNIT
from provision.steps.nodes import NodesStep, node_files
from tests.fakes.checks.nodes import Place
from tests.fakes.config import make_config
from tests.fakes.lab import Lab, make_lab

SYSTEMCTL = """
case "$*" in
*is-active*lab-network) test -e network-up;;
"restart lab-network") touch network-up;;
*mask*swap.target) touch masked;;
*"enable --now kubelab-scheduler") echo enabled >> scheduler;;
daemon-reload) echo reload >> restarts;;
"restart containerd")
    echo restart >> restarts
    cat etc/kubelab/proxy.env > containerd-has 2>/dev/null || true;;
*) exit 1;;
esac
"""
# `images` holds the names of containerd's images, with "pinned" behind those that are.
CTR = """
case "$*" in
*"images ls --quiet labels"*) sed -n 's/ pinned$//p' images;;
*"images ls --quiet") sed 's/ .*//' images;;
*"images label "*"=pinned") sed -i "s|^$4\\$|$4 pinned|" images;;
*"images import --local -") cat > imported; echo registry.k8s.io/pause:3.10.2 >> images;;
*) exit 1;;
esac
"""
PAUSE = "registry.k8s.io/pause:3.10.2"
# `clock` holds how many seconds the node is behind.
DATE = """
now=$(/bin/date +%s%N)
case "$*" in
+%s%N) echo $((now - $(cat clock) * 1000000000));;
"-s @"*) echo "$2" > stepped;;
*) exit 1;;
esac
"""


class Machine(Place):
    """A node as the box leaves it: another name, swap configured, the clock right, containerd at work."""

    def __init__(self, node: str, root: Path) -> None:
        super().__init__(node, root)
        for name in ("modprobe", "sysctl"):
            self.program(name, "")
        self.program("systemctl", SYSTEMCTL)
        self.program("date", DATE)
        self.program("ctr", CTR)
        self.write("/images", f"{PAUSE} pinned\ndocker.io/library/mine:1\n")
        self.program("swapoff", "echo Filename > proc/swaps")
        self.write("/clock", "0\n")
        self.write("/proc/swaps", "Filename\n/dev/vdb partition\n")
        self.write("/proc/sys/kernel/hostname", "debian\n")
        self.write("/etc/fstab", "/dev/vda2 / ext4 defaults 0 1\n/dev/vdb none swap sw 0 0\n")
        self.path("/run/containerd").mkdir(parents=True)
        os.mknod(self.path("/run/containerd/containerd.sock"), stat.S_IFSOCK | 0o600)


def machines(lab: Lab, root: Path) -> dict[str, Machine]:
    return {node.name: Machine(node.name, root / node.name) for node in lab.ctx.inventory.nodes}


def make(root: Path, **options: object) -> tuple[Lab, dict[str, Machine]]:
    found: dict[str, Machine] = {}
    changes = {"connect": lambda node: found[node.name], **options.pop("changes", {})}  # type: ignore[dict-item]
    lab = make_lab(root, changes=changes, **{"workers": {"count": 1}, **options})  # type: ignore[arg-type]
    found.update(machines(lab, root))
    return lab, found


def test_nodes_are_prepared_once(tmp_path: Path) -> None:
    lab, nodes = make(tmp_path)
    assert lab.run(NodesStep()) == ["nodes"]
    scripts = [len(node.whats) for node in nodes.values()]
    assert lab.run(NodesStep()) == []
    # One question a node is all that a second run costs.
    assert [len(node.whats) for node in nodes.values()] == [count + 1 for count in scripts]


def test_every_node_knows_its_name_and_all_others(tmp_path: Path) -> None:
    lab, nodes = make(tmp_path)
    lab.run(NodesStep())
    for name, node in nodes.items():
        assert node.path("/proc/sys/kernel/hostname").read_text().strip() == name
        assert node.path("/etc/hostname").read_text().strip() == name
        hosts = node.path("/etc/hosts").read_text().splitlines()
        assert {"127.0.0.1 localhost", "192.168.60.11 lab-cp1", "192.168.60.21 lab-w1"} == set(hosts)
        # Not a stub on the loopback address, which CoreDNS would ask in a circle.
        assert node.path("/etc/resolv.conf").read_text() == "nameserver 192.168.60.1\n"


def test_nodes_with_names_of_their_own_are_known_by_them(tmp_path: Path) -> None:
    lab, nodes = make(tmp_path, nodes={"lab-cp1": {"name": "m-k8s"}, "lab-w1": {"name": "w1-k8s"}})
    lab.run(NodesStep())
    assert list(nodes) == ["m-k8s", "w1-k8s"]
    for name, node in nodes.items():
        assert node.path("/proc/sys/kernel/hostname").read_text().strip() == name
        hosts = node.path("/etc/hosts").read_text().splitlines()
        assert {"127.0.0.1 localhost", "192.168.60.11 m-k8s", "192.168.60.21 w1-k8s"} == set(hosts)


def test_an_emulated_node_switches_less_between_programs_at_once_and_after_a_boot(tmp_path: Path) -> None:
    lab, nodes = make(tmp_path, factor=10.0)
    lab.run(NodesStep())
    for node in nodes.values():
        assert node.path("/scheduler").read_text() == "enabled\n"
        unit = node.path(UNIT).read_text()
        assert "NO_WAKEUP_PREEMPTION" in unit
        slices = re.search(r"echo (\d+) >base_slice_ns", unit)
        assert slices is not None
        assert int(slices[1]) > 4_000_000  # a tick of the kernel


def test_a_node_with_hardware_virtualisation_keeps_the_kernels_scheduler(tmp_path: Path) -> None:
    lab, nodes = make(tmp_path)
    lab.run(NodesStep())
    assert not any(node.path("/scheduler").exists() for node in nodes.values())


def test_swap_is_off_and_does_not_come_back(tmp_path: Path) -> None:
    lab, nodes = make(tmp_path)
    lab.run(NodesStep())
    for node in nodes.values():
        assert node.path("/proc/swaps").read_text() == "Filename\n"
        assert node.path("/etc/fstab").read_text() == "/dev/vda2 / ext4 defaults 0 1\n"
        assert node.path("/masked").exists()


def test_a_clock_that_is_wrong_is_stepped_and_one_that_is_right_left_alone(tmp_path: Path) -> None:
    lab, nodes = make(tmp_path)
    nodes["lab-w1"].write("/clock", "3600\n")
    lab.run(NodesStep())
    assert not nodes["lab-cp1"].path("/stepped").exists()
    now = float(nodes["lab-w1"].path("/stepped").read_text().removeprefix("@"))
    assert abs(now - time.time()) < 60


@pytest.mark.parametrize(
    "damage",
    [
        lambda node: node.write("/etc/hosts", "127.0.0.1 localhost\n"),
        lambda node: node.write("/proc/sys/kernel/hostname", "debian\n"),
        lambda node: node.write("/proc/swaps", "Filename\n/dev/vdb partition\n"),
        lambda node: node.path("/network-up").unlink(),
        lambda node: node.write("/images", "docker.io/library/mine:1\n"),
        lambda node: node.write("/images", f"{PAUSE}\n"),
        lambda node: node.write("/images", f"{PAUSE}-other pinned\n"),
        lambda node: node.write("/images", ""),
    ],
    ids=["hosts", "hostname", "swap", "routes", "image", "pin", "image-by-name", "images"],
)
def test_what_a_node_lost_it_gets_again(tmp_path: Path, damage: object) -> None:
    lab, nodes = make(tmp_path)
    lab.run(NodesStep())
    damage(nodes["lab-w1"])  # type: ignore[operator]
    assert lab.run(NodesStep()) == ["nodes"]
    assert lab.run(NodesStep()) == []


def test_an_image_that_is_gone_comes_whole_from_the_bundle_and_is_pinned(tmp_path: Path) -> None:
    lab, nodes = make(tmp_path)
    lab.run(NodesStep())
    nodes["lab-w1"].write("/images", "docker.io/library/mine:1\n")
    lab.run(NodesStep())
    assert nodes["lab-w1"].path("/imported").read_text() == "pause"
    assert nodes["lab-w1"].path("/images").read_text() == f"docker.io/library/mine:1\n{PAUSE} pinned\n"
    assert not nodes["lab-w1"].path(images.FOLDER).exists()
    assert [event["text"] for event in lab.report.of("info") if PAUSE in event["text"]] == [
        f"lab-w1: images are missing there, and are brought: {PAUSE}"
    ]
    assert not nodes["lab-cp1"].path("/imported").exists()


def test_an_image_larger_than_a_piece_arrives_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "PIECE", 2)
    lab, nodes = make(tmp_path)
    nodes["lab-w1"].write("/images", "")
    lab.run(NodesStep())
    assert nodes["lab-w1"].path("/imported").read_text() == "pause"


def test_an_image_that_cannot_be_imported_leaves_no_pieces_behind(tmp_path: Path) -> None:
    lab, nodes = make(tmp_path)
    nodes["lab-w1"].write("/images", "")
    nodes["lab-w1"].program("ctr", 'case "$*" in *import*) echo "no space left" >&2; exit 1;; esac')
    with pytest.raises(StepFailed, match=PAUSE) as caught:
        lab.run(NodesStep())
    assert "no space left" in caught.value.details
    assert not nodes["lab-w1"].path(images.FOLDER).exists()


def test_a_lab_without_its_bundle_is_not_asked_for_images(tmp_path: Path) -> None:
    lab, nodes = make(tmp_path, changes={"find_bundle": lambda: None})
    for node in nodes.values():
        node.program("ctr", "exit 1")
    assert lab.run(NodesStep()) == ["nodes"]
    assert lab.run(NodesStep()) == []


def test_slow_machines_are_told_once_and_every_deadline_grows(tmp_path: Path) -> None:
    lab, nodes = make(tmp_path)
    # Of a clock that runs ahead at each look, the time between two looks is long.
    nodes["lab-w1"].program("date", 'echo x >> looks; echo "$(wc -l < looks)00000000"')
    before = lab.ctx.scaled(30)
    assert NodesStep().is_done(lab.ctx) is False
    assert lab.ctx.scaled(30) > before
    assert NodesStep().is_done(lab.ctx) is False
    (told,) = [event["text"] for event in lab.report.of("info")]
    assert "times slower than usual" in told


def test_containerd_is_waited_for(tmp_path: Path) -> None:
    # kubeadm's own deadline for it is too short on a machine that has just booted.
    lab, nodes = make(tmp_path)
    answer = (nodes["lab-w1"].bin / "curl").read_text()
    nodes["lab-w1"].program("curl", f'test "$(wc -l < pauses)" -ge 5 || exit 7\n{answer}')
    nodes["lab-w1"].write("/pauses")
    assert lab.run(NodesStep()) == ["nodes"]
    assert nodes["lab-w1"].pauses == 5


def test_a_containerd_that_never_answers_is_an_error_with_its_journal(tmp_path: Path) -> None:
    lab, nodes = make(tmp_path)
    nodes["lab-w1"].program("curl", "printf 'HTTP/2 200\\r\\n\\r\\ngrpc-status: 12\\r\\n'")
    nodes["lab-w1"].program("journalctl", "echo containerd: no space left on device")
    with pytest.raises(StepFailed, match="lab-w1") as caught:
        lab.run(NodesStep())
    assert "no space left on device" in caught.value.details
    assert nodes["lab-cp1"].path("/network-up").exists()


def test_every_failed_node_is_told(tmp_path: Path) -> None:
    lab, nodes = make(tmp_path)
    for node in nodes.values():
        node.program("modprobe", "echo no such module >&2; exit 1")
    with pytest.raises(StepFailed) as caught:
        lab.run(NodesStep())
    assert isinstance(caught.value.cause, NodesError)
    assert {
        name for name, error in caught.value.cause.errors.items() if isinstance(error, CommandFailed)
    } == {
        "lab-cp1",
        "lab-w1",
    }


def test_a_lab_without_a_cni_needs_no_routes(tmp_path: Path) -> None:
    lab, nodes = make(tmp_path, cni="none", changes={"cni": NoCni()})
    assert lab.run(NodesStep()) == ["nodes"]
    assert not any(node.path("/network-up").exists() for node in nodes.values())


@pytest.mark.parametrize(("factor", "patched"), [(1.0, []), (10.0, ["lab-cp1"])])
def test_patches_go_to_control_planes_of_emulated_labs_alone(
    tmp_path: Path, factor: float, patched: list[str]
) -> None:
    lab, _ = make(tmp_path, factor=factor)
    with_patches = [
        node.name
        for node in lab.ctx.inventory.nodes
        if any(path.startswith(PATCHES) for path in node_files(lab.ctx, node))
    ]
    assert with_patches == patched


def test_patches_of_the_user_come_to_every_node_and_go_with_their_key(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "kubeletconfiguration+merge.yaml").write_text("maxPods: 7\n")
    lab, nodes = make(tmp_path, factor=10.0)
    config = lab.ctx.config.model_copy(update={"kubeadm": Kubeadm(patches=str(folder))})
    asked = dataclasses.replace(lab, ctx=dataclasses.replace(lab.ctx, config=config))
    for each, there in ((lab, False), (asked, True), (lab, False)):
        assert each.run(NodesStep()) == ["nodes"]
        for node in nodes.values():
            assert node.path(f"{PATCHES}/kubeletconfiguration+merge.yaml").exists() is there
        assert nodes["lab-cp1"].path(f"{PATCHES}/etcd+strategic.yaml").exists()
        assert each.run(NodesStep()) == []


# The proxy

ADDRESS = "http://me:s3cret@proxy.test:3128"


def with_proxy(lab: Lab, **keys: object) -> Lab:
    """Return the same lab with `proxy` in its lab.yaml, or without where no keys are given."""
    proxy = make_config(**({"proxy": keys} if keys else {})).proxy
    ctx = dataclasses.replace(lab.ctx, config=lab.ctx.config.model_copy(update={"proxy": proxy}))
    return dataclasses.replace(lab, ctx=ctx)


def test_a_proxy_is_given_to_containerd_apt_and_root(tmp_path: Path) -> None:
    lab, nodes = make(tmp_path)
    lab = with_proxy(lab, http=ADDRESS, https="http://other.test:1", noProxy=[".corp.test"])
    assert lab.run(NodesStep()) == ["nodes"]
    for node in nodes.values():
        words = dict(line.split("=", 1) for line in node.path("/containerd-has").read_text().splitlines())
        assert words["HTTP_PROXY"] == words["http_proxy"] == f'"{ADDRESS}"'
        assert words["HTTPS_PROXY"] == words["https_proxy"] == '"http://other.test:1"'
        exempt = words["NO_PROXY"].strip('"').split(",")
        assert words["no_proxy"] == words["NO_PROXY"]
        assert {"localhost", "127.0.0.1", "192.168.60.0/24", "10.244.0.0/16", "10.96.0.0/12"} < set(exempt)
        assert {".svc", ".cluster.local", "lab-cp1", "lab-w1", ".corp.test"} < set(exempt)
        apt = node.path("/etc/apt/apt.conf.d/90kubelab-proxy").read_text()
        assert f'Acquire::http::Proxy "{ADDRESS}";' in apt
        holding = [file for file in node.root.rglob("*") if file.is_file() and b"s3cret" in file.read_bytes()]
        # The last is what the stub of systemctl was told.
        assert {file.name for file in holding} == {"proxy.env", "90kubelab-proxy", "containerd-has"}
        assert {stat.S_IMODE(file.stat().st_mode) for file in holding if file.name != "containerd-has"} == {
            0o600
        }
        drop_in = node.path("/etc/systemd/system/containerd.service.d/20-kubelab-proxy.conf").read_text()
        assert "EnvironmentFile=-" in drop_in
    assert "s3cret" not in str(lab.report.events)


def test_a_shell_of_root_has_the_proxy(tmp_path: Path) -> None:
    lab, nodes = make(tmp_path)
    with_proxy(lab, https=ADDRESS).run(NodesStep())
    profile = nodes["lab-w1"].path("/etc/profile.d/kubelab-proxy.sh").read_text()
    result = nodes["lab-w1"].run(f"{profile}\nsh -c 'echo \"$HTTPS_PROXY\"'")
    assert result.stdout == f"{ADDRESS}\n"


def test_containerd_starts_again_only_where_the_proxy_changed(tmp_path: Path) -> None:
    lab, nodes = make(tmp_path)
    lab.run(NodesStep())
    restarts = nodes["lab-w1"].path("/restarts")
    assert not restarts.exists()
    first, second = with_proxy(lab, http=ADDRESS), with_proxy(lab, http="http://other.test:1")
    for asked, turns in ((first, 1), (first, 1), (second, 2), (lab, 3), (lab, 3)):
        asked.run(NodesStep())
        assert restarts.read_text().count("restart") == turns
    assert not nodes["lab-w1"].path("/etc/kubelab/proxy.env").exists()
    assert not nodes["lab-w1"].path("/etc/apt/apt.conf.d/90kubelab-proxy").exists()


@pytest.mark.parametrize("goes_on_with", [ADDRESS, ""])
def test_a_change_that_was_interrupted_is_ended_by_the_next_run(tmp_path: Path, goes_on_with: str) -> None:
    lab, nodes = make(tmp_path)
    if not goes_on_with:
        with_proxy(lab, http=ADDRESS).run(NodesStep())
    asked = with_proxy(lab, http=goes_on_with) if goes_on_with else lab
    node = nodes["lab-w1"]
    right = (node.bin / "systemctl").read_text()
    node.program("systemctl", f'case "$*" in "restart containerd") exit 1;; esac\n{SYSTEMCTL}')
    with pytest.raises(StepFailed):
        asked.run(NodesStep())
    (node.bin / "systemctl").write_text(right)
    assert asked.run(NodesStep()) == ["nodes"]
    has = node.path("/containerd-has").read_text()
    assert (ADDRESS in has) is bool(goes_on_with)
    assert asked.run(NodesStep()) == []


# Registries and resolvers

HOSTS = "/etc/containerd/certs.d/{}/hosts.toml"
CONFIG = "/etc/containerd/config.toml"
MIRROR = "http://192.168.60.1:5000"
OWN = "server = 'https://mine.test'\n"
ASKED = ("registry_mirrors", "insecure_registries", "dns", "time_zone")


def asking(lab: Lab, **keys: object) -> Lab:
    """Return the same lab with other keys in its lab.yaml."""
    found = make_config(**keys)
    changes = {name: getattr(found, name) for name in ASKED}
    ctx = dataclasses.replace(lab.ctx, config=lab.ctx.config.model_copy(update=changes))
    return dataclasses.replace(lab, ctx=ctx)


def hosts_of(node: Machine, registry: str) -> list[tuple[str, object]]:
    """Return the tables of a hosts.toml, in the order in which containerd asks."""
    found = tomllib.loads(node.path(HOSTS.format(registry)).read_text())
    return [*found.get("host", {}).items(), ("server", found.get("server"))]


def test_a_registry_is_asked_for_at_its_mirrors_first(tmp_path: Path) -> None:
    lab, nodes = make(tmp_path)
    mirrors = {"docker.io": [MIRROR, "https://m.test/v2/hub", "https://other.test:5000"]}
    lab = asking(lab, registryMirrors=mirrors, insecureRegistries=["other.test:5000"])
    assert lab.run(NodesStep()) == ["nodes"]
    pulls = {"capabilities": ["pull", "resolve"]}
    for node in nodes.values():
        assert hosts_of(node, "docker.io") == [
            (MIRROR, pulls),
            ("https://m.test/v2/hub", {**pulls, "override_path": True}),
            ("https://other.test:5000", {**pulls, "skip_verify": True}),
            # The registry itself, as containerd knows it.
            ("server", None),
        ]
        # By https first: what has no TLS fails there before it is sent anything.
        assert hosts_of(node, "other.test:5000") == [
            ("https://other.test:5000", {"skip_verify": True}),
            ("server", "http://other.test:5000"),
        ]
    assert lab.run(NodesStep()) == []


def test_an_insecure_registry_may_be_its_own_mirror(tmp_path: Path) -> None:
    lab, nodes = make(tmp_path)
    keys = {"registryMirrors": {"r.test": ["https://r.test"]}, "insecureRegistries": ["r.test"]}
    asking(lab, **keys).run(NodesStep())
    (table, _) = hosts_of(nodes["lab-w1"], "r.test")
    assert table == ("https://r.test", {"capabilities": ["pull", "resolve"], "skip_verify": True})


def test_registries_follow_lab_yaml_and_containerd_goes_on(tmp_path: Path) -> None:
    lab, nodes = make(tmp_path)
    node = nodes["lab-w1"]
    asking(lab, registryMirrors={"docker.io": [MIRROR], "r.test": [MIRROR]}).run(NodesStep())
    other = asking(lab, registryMirrors={"docker.io": ["https://other.test"]})
    assert other.run(NodesStep()) == ["nodes"]
    assert hosts_of(node, "docker.io")[0][0] == "https://other.test"
    assert not node.path(HOSTS.format("r.test")).parent.exists()
    assert lab.run(NodesStep()) == ["nodes"]
    assert list(node.path("/etc/containerd/certs.d").iterdir()) == []
    assert not node.path("/restarts").exists()


def test_what_is_edited_in_a_file_of_kubelabs_is_put_back(tmp_path: Path) -> None:
    lab, nodes = make(tmp_path)
    lab = asking(lab, registryMirrors={"docker.io": [MIRROR]})
    lab.run(NodesStep())
    file = nodes["lab-w1"].path(HOSTS.format("docker.io"))
    before = file.read_text()
    file.write_text(f"{before}[host.'http://third.test']\n")
    assert lab.run(NodesStep()) == ["nodes"]
    assert file.read_text() == before


def test_files_of_the_users_own_stay_and_are_told(tmp_path: Path) -> None:
    lab, nodes = make(tmp_path)
    lab = asking(lab, registryMirrors={"docker.io": [MIRROR], "r.test": [MIRROR]})
    node = nodes["lab-w1"]
    for registry in ("docker.io", "mine.test"):
        node.write(HOSTS.format(registry), OWN)
    assert lab.run(NodesStep()) == ["nodes"]
    (told,) = [event["text"] for event in lab.report.of("info") if "your own" in event["text"]]
    assert told.startswith(f"lab-w1: {HOSTS.format('docker.io')} is your own")
    assert hosts_of(node, "r.test")[0][0] == MIRROR
    asking(lab).run(NodesStep())
    assert [node.path(HOSTS.format(name)).read_text() for name in ("docker.io", "mine.test")] == [OWN, OWN]


@pytest.mark.parametrize(
    ("version", "plugin"), [(2, "io.containerd.grpc.v1.cri"), (3, "io.containerd.cri.v1.images")]
)
def test_containerd_of_an_older_lab_is_told_where_to_look_and_starts_again(
    tmp_path: Path, version: int, plugin: str
) -> None:
    lab, nodes = make(tmp_path)
    node = nodes["lab-w1"]
    node.write(CONFIG, f"version = {version}\n\n[plugins.'{plugin}']\n  mine = 1\n")
    assert lab.run(NodesStep()) == ["nodes"]
    asked = tomllib.loads(node.path(CONFIG).read_text())["plugins"][plugin]
    # Paths lie in the folder of this test.
    assert asked["mine"] == 1
    assert asked["registry"]["config_path"].endswith("/etc/containerd/certs.d")
    assert node.path("/restarts").read_text() == "restart\n"
    assert not nodes["lab-cp1"].path("/restarts").exists()
    assert lab.run(NodesStep()) == []


def test_a_restart_of_containerd_that_failed_is_made_up_for(tmp_path: Path) -> None:
    lab, nodes = make(tmp_path)
    node = nodes["lab-w1"]
    node.write(CONFIG, "version = 2\n")
    node.program("systemctl", f'case "$*" in "restart containerd") exit 1;; esac\n{SYSTEMCTL}')
    with pytest.raises(StepFailed):
        lab.run(NodesStep())
    node.program("systemctl", SYSTEMCTL)
    assert lab.run(NodesStep()) == ["nodes"]
    assert node.path("/restarts").read_text() == "restart\n"
    assert node.path(CONFIG).read_text().count("config_path") == 1


@pytest.mark.parametrize(
    "text",
    [
        "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.registry]\n  config_path = ''\n",
        "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.registry.mirrors.'docker.io']\nendpoint = []\n",
        "[plugins.cri]\n",
    ],
    ids=["other-path", "mirrors", "version-1"],
)
def test_registries_in_containerds_own_configuration_stay_as_the_user_has_them(
    tmp_path: Path, text: str
) -> None:
    lab, nodes = make(tmp_path)
    node = nodes["lab-w1"]
    node.write(CONFIG, text)
    assert lab.run(NodesStep()) == ["nodes"]
    assert node.path(CONFIG).read_text() == text
    assert not node.path("/restarts").exists()


def test_nodes_ask_the_resolvers_of_lab_yaml(tmp_path: Path) -> None:
    lab, nodes = make(tmp_path)
    lab.run(NodesStep())
    assert asking(lab, dns=["10.1.2.3", "9.9.9.9"]).run(NodesStep()) == ["nodes"]
    for node in nodes.values():
        text = node.path("/etc/resolv.conf").read_text()
        assert text == "nameserver 10.1.2.3\nnameserver 9.9.9.9\n"
    assert lab.run(NodesStep()) == ["nodes"]
    assert nodes["lab-w1"].path("/etc/resolv.conf").read_text() == "nameserver 192.168.60.1\n"


def zone_of(node: Machine) -> str:
    """Return where the node's time zone leads to, and its name."""
    link = str(node.path(time_zone.LINK).readlink()).removeprefix(str(node.root))
    return f"{link.removeprefix(time_zone.ZONES)} {node.path(time_zone.NAME).read_text()}"


def test_nodes_are_in_the_time_zone_of_lab_yaml_and_no_program_starts_again(tmp_path: Path) -> None:
    lab, nodes = make(tmp_path)
    for node in nodes.values():
        node.write(f"{time_zone.ZONES}/Asia/Seoul", "TZif2")
        # What a box may have instead of a link.
        node.write(time_zone.LINK, "TZif2")
    asked = asking(lab, timeZone="Asia/Seoul")
    for each, said in ((asked, "/Asia/Seoul Asia/Seoul\n"), (lab, "/UTC UTC\n")):
        assert each.run(NodesStep()) == ["nodes"]
        assert [zone_of(node) for node in nodes.values()] == [said] * 2
        assert each.run(NodesStep()) == []
    assert not any(node.path("/restarts").exists() for node in nodes.values())


@pytest.mark.parametrize("path", [time_zone.LINK, time_zone.NAME])
def test_a_node_that_lost_its_time_zone_gets_it_again(tmp_path: Path, path: str) -> None:
    lab, nodes = make(tmp_path)
    for node in nodes.values():
        node.write(f"{time_zone.ZONES}/Asia/Seoul", "TZif2")
    lab = asking(lab, timeZone="Asia/Seoul")
    lab.run(NodesStep())
    nodes["lab-w1"].path(path).unlink()
    assert lab.run(NodesStep()) == ["nodes"]
    assert zone_of(nodes["lab-w1"]) == "/Asia/Seoul Asia/Seoul\n"


def test_a_node_without_the_time_zone_says_so_before_it_is_changed(tmp_path: Path) -> None:
    lab, nodes = make(tmp_path)
    nodes["lab-cp1"].write(f"{time_zone.ZONES}/Asia/Seoul", "TZif2")
    with pytest.raises(StepFailed, match="lab-w1") as caught:
        asking(lab, timeZone="Asia/Seoul").run(NodesStep())
    assert "timeZone: this node has no" in caught.value.details
    assert "/usr/share/zoneinfo/Asia/Seoul" in caught.value.details
    assert not nodes["lab-w1"].path("/etc/hosts").exists()


def test_a_machine_of_a_box_without_zones_is_in_utc(tmp_path: Path) -> None:
    lab, nodes = make(tmp_path)
    lab.run(NodesStep())
    assert not nodes["lab-w1"].path(time_zone.ZONES).exists()
    for node in nodes.values():
        node.path(time_zone.LINK).unlink()
    assert lab.run(NodesStep()) == []


def test_a_card_on_the_hosts_bridge_gets_its_address_by_dhcp_and_takes_no_route_from_the_lab(
    tmp_path: Path,
) -> None:
    lab, nodes = make(tmp_path, network={"bridge": "br0"})
    for node in nodes.values():
        node.program("networkctl", "echo $* >> networkctl-did")
    assert lab.run(NodesStep()) == ["nodes"]
    for node in nodes.values():
        text = node.path("/etc/systemd/network/20-bridge.network").read_text()
        assert "Name=eth1" in text
        assert "DHCP=ipv4" in text
        # That of the lab's own network is networkd's default, 1024.
        assert "RouteMetric=2048" in text
        assert node.path("/networkctl-did").read_text() == "reload\n"
    assert lab.run(NodesStep()) == []


def test_a_node_without_a_bridge_has_no_file_of_a_second_card(tmp_path: Path) -> None:
    lab, _ = make(tmp_path)
    files = node_files(lab.ctx, lab.ctx.inventory.first)
    assert [path for path in files if "systemd/network" in path] == []
