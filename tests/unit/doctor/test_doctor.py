from __future__ import annotations

from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provision.doctor import Check, Command, Host, LabNeeds, checks_for, diagnose, essentials, fix
from provision.doctor.apt import numbers
from provision.doctor.apt_sources import source_of, sources
from provision.doctor.findings import Answer, bad, good
from provision.doctor.hardware import probe_arch, probe_cpu, probe_disk, probe_os, probe_python
from provision.doctor.libvirt import probe_daemons, probe_group
from provision.doctor.network import mtu_probe, overlap_probe, probe_firewall
from provision.doctor.packages import probe_go, probe_helm, probe_packages, probe_qemu, probe_skopeo
from provision.doctor.pool import probe_pool
from provision.doctor.qemu_cache import probe as probe_trap
from provision.doctor.qemu_cache import remembered
from provision.doctor.vagrant import vagrant_probe
from provision.errors import LabError, MissingTool, ToolFailed
from provision.host.facts import HostFacts, HostNetwork

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FACTS = HostFacts(
    cpus=2,
    memory_mib=16384,
    disk_free_mib=100_000,
    networks=(),
    cpu_flags=frozenset({"cx16", "popcnt", "sse4_1", "sse4_2", "ssse3"}),
    kvm_present=True,
    kvm_usable=False,
    os_id="debian",
    os_codename="bookworm",
    is_root=True,
    has_systemd=False,
    arch="x86_64",
)
DEB822 = """\
# the machine's own
Types: deb deb-src
# a remark in the middle
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/some.gpg

Types: deb
URIs: http://mirror.example/security
Suites: bookworm-security
Components: main
"""
MADISON = """\
 qemu-system-x86 | 1:7.2+dfsg-7+deb12u18 | http://mirror.example/debian bookworm/main amd64 Packages
"""


@dataclass
class FakeTools:
    """Answers by the start of the command line; the longest match wins."""

    script: dict[str, str | LabError] = field(default_factory=dict)
    programs: dict[str, str] = field(default_factory=dict)
    listening: set[str] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)

    def run(
        self,
        argv: Sequence[str],
        *,
        deadline: float,
        root: bool = False,
        stdin: str = "",
        on_line: Callable[[str], None] | None = None,
    ) -> str:
        line = " ".join(argv)
        self.calls.append(f"root {line}" if root else line)
        for start in sorted(self.script, key=len, reverse=True):
            if line.startswith(start):
                answer = self.script[start]
                if isinstance(answer, LabError):
                    raise answer
                return answer
        raise AssertionError(f"unscripted command: {line}")

    def which(self, name: str) -> str | None:
        return self.programs.get(name)

    def answers(self, path: Path) -> bool:
        return path.name in self.listening


class Told:
    def __init__(self) -> None:
        self.infos: list[str] = []
        self.warnings: list[str] = []

    def info(self, text: str) -> None:
        self.infos.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)


class StoppedClock:
    """Time that passes only while somebody waits."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


def host(tools: FakeTools, root: Path = Path("/nowhere"), **facts: object) -> Host:
    return Host(replace(FACTS, **facts), tools, root=root, user="ann", home=root / "home")  # type: ignore[arg-type]


def dpkg(**versions: str) -> dict[str, str | LabError]:
    rows = [f"installed {name.replace('_', '-')} {version}" for name, version in versions.items()]
    return {"dpkg-query": "\n".join([*rows, "config-files long-gone 1.0"]) + "\n"}


def lines(answer: Answer) -> list[str]:
    return [command.line(is_root=True) for command in answer.fixes]


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    folder = tmp_path / "etc" / "apt" / "sources.list.d"
    folder.mkdir(parents=True)
    (folder / "debian.sources").write_text(DEB822)
    return tmp_path


# The machine


@pytest.mark.parametrize(("arch", "level"), [("x86_64", "ok"), ("aarch64", "fail"), ("arm64", "fail")])
def test_only_x86_64_is_accepted(arch: str, level: str) -> None:
    answer = probe_arch(host(FakeTools(), arch=arch))
    assert answer.level == level
    assert arch in answer.message


@pytest.mark.parametrize(
    ("os_id", "like", "level", "part"),
    [
        ("debian", (), "ok", "debian bookworm"),
        ("ubuntu", ("debian",), "ok", "ubuntu"),
        ("linuxmint", ("ubuntu", "debian"), "ok", "Ubuntu's packages"),
        ("pop", ("ubuntu", "debian"), "ok", "Ubuntu's packages"),
        ("kali", ("debian",), "ok", "Debian's packages"),
        ("fedora", (), "warn", "fedora"),
        ("opensuse-tumbleweed", ("opensuse", "suse"), "warn", "opensuse"),
        ("gentoo", (), "warn", "gentoo"),
        ("darwin", (), "fail", "use a Linux machine"),
    ],
)
def test_systems_made_of_known_packages_are_served_and_others_warned_about(
    os_id: str, like: tuple[str, ...], level: str, part: str
) -> None:
    answer = probe_os(host(FakeTools(), os_id=os_id, os_like=like))
    assert answer.level == level
    assert part in answer.message


@pytest.mark.parametrize("facts", [{"arch": "arm64", "os_id": "darwin"}, {"os_id": "darwin"}])
def test_nothing_is_asked_behind_a_gate_that_failed(facts: dict[str, str]) -> None:
    tools = FakeTools()
    findings = diagnose(host(tools, **facts), checks_for())
    assert [finding.level for finding in findings[:-1]] == ["ok"] * (len(findings) - 1)
    assert findings[-1].level == "fail"
    assert tools.calls == []


def test_python_3_10_is_too_old() -> None:
    assert probe_python(host(FakeTools()), (3, 10, 14)).level == "fail"
    assert probe_python(host(FakeTools()), (3, 11, 0)).level == "ok"


def test_emulation_is_information_not_a_failure() -> None:
    answer = probe_cpu(host(FakeTools()))
    assert answer.level == "info"
    assert "emulated (TCG)" in answer.message


def test_a_user_shut_out_of_kvm_learns_how_to_get_in() -> None:
    flags = FACTS.cpu_flags | {"vmx"}
    answer = probe_cpu(host(FakeTools(), cpu_flags=flags, is_root=False))
    assert answer.level == "warn"
    assert answer.fixes[0].line(is_root=False) == "sudo usermod -aG kvm ann"


def test_a_kvm_that_virtualbox_has_is_no_matter_of_groups() -> None:
    flags = FACTS.cpu_flags | {"vmx"}
    answer = probe_cpu(host(FakeTools(), cpu_flags=flags, is_root=False, kvm_busy=True))
    assert (answer.level, answer.fixes) == ("warn", ())
    assert "VirtualBox" in answer.message
    assert answer.by_hand[0] == "VBoxManage list runningvms"


def test_a_cpu_that_cannot_virtualise_is_no_matter_of_groups_either() -> None:
    answer = probe_cpu(host(FakeTools(), is_root=False))
    assert (answer.level, answer.fixes) == ("info", ())


def test_kvm_on_an_old_cpu_names_the_missing_flags() -> None:
    answer = probe_cpu(host(FakeTools(), kvm_usable=True, cpu_flags=FACTS.cpu_flags - {"popcnt"}))
    assert answer.level == "warn"
    assert "popcnt" in answer.message


@pytest.mark.parametrize(("mib", "level"), [(20 * 1024, "ok"), (20 * 1024 - 1, "warn")])
def test_20_gib_are_recommended(mib: int, level: str) -> None:
    assert probe_disk(host(FakeTools(), disk_free_mib=mib)).level == level


def test_an_overlapping_host_network_is_named_but_the_labs_own_is_not() -> None:
    lab = [IPv4Network("192.168.60.0/24")]
    networks = (HostNetwork("eth0", IPv4Network("192.168.0.0/16")), HostNetwork("kl-lab", lab[0]))
    machine = host(FakeTools(), networks=networks)
    answer = overlap_probe(lab, own=["kl-lab"])(machine)
    assert answer.level == "fail"
    assert "eth0" in answer.message
    assert "kl-lab" not in answer.message
    assert overlap_probe([IPv4Network("10.9.0.0/24")])(machine).level == "ok"


# Packages


@pytest.mark.parametrize(
    ("version", "expected"),
    [("1:10.0.2+ds-2", (10, 0, 2)), ("2:1.19~1", (1, 19)), ("Vagrant 2.4.9", (2, 4, 9)), ("", ())],
)
def test_versions_are_compared_without_epoch_and_suffix(version: str, expected: tuple[int, ...]) -> None:
    assert numbers(version) == expected


def test_the_backports_suite_comes_from_the_machines_own_source(etc: Path) -> None:
    tools = FakeTools({**dpkg(), "apt-cache madison": MADISON})
    answer = probe_qemu(host(tools, etc))
    write, update, install = answer.fixes
    file = str(etc / "etc/apt/sources.list.d/kubelab-backports.sources")
    assert write.argv == ("install", "-m", "644", "/dev/stdin", file)
    assert write.stdin.splitlines()[1:] == [
        "Types: deb",
        "URIs: http://mirror.example/debian",
        "Suites: bookworm-backports",
        "Components: main",
        "Signed-By: /usr/share/keyrings/some.gpg",
    ]
    assert update.argv[:2] == ("apt-get", "update")
    assert " -t bookworm-backports qemu-system-x86 qemu-utils" in install.line(is_root=True)


def test_backports_that_are_configured_already_are_not_added_again(etc: Path) -> None:
    (etc / "etc/apt/sources.list").write_text("deb http://mirror.example/debian bookworm-backports main\n")
    tools = FakeTools({**dpkg(), "apt-cache madison": MADISON})
    assert [command.argv[0] for command in probe_qemu(host(tools, etc)).fixes] == ["apt-get", "env"]


def test_an_old_qemu_is_only_wrong_when_it_emulates(etc: Path) -> None:
    script = {**dpkg(qemu_system_x86="1:7.2+dfsg-7", qemu_utils="1:7.2+dfsg-7"), "apt-cache": MADISON}
    assert "crashes emulated guests" in probe_qemu(host(FakeTools(script), etc)).message
    assert probe_qemu(host(FakeTools(script), etc, kvm_usable=True)).level == "ok"


def test_a_release_with_a_new_qemu_needs_no_backports(etc: Path) -> None:
    tools = FakeTools({**dpkg(), "apt-cache": MADISON.replace("7.2", "10.0")})
    assert not any("-t" in command.argv for command in probe_qemu(host(tools, etc)).fixes)


def test_package_lists_are_fetched_before_versions_are_judged(etc: Path) -> None:
    tools = FakeTools({**dpkg(), "apt-cache": ""})
    assert [command.argv[1] for command in probe_qemu(host(tools, etc)).fixes] == ["update"]


def test_only_missing_packages_are_installed_without_recommendations() -> None:
    tools = FakeTools(dpkg(dbus="1", iptables="1", iproute2="1", mmdebstrap="1"))
    install = probe_packages(host(tools)).fixes[-1].argv
    assert install[:2] == ("env", "DEBIAN_FRONTEND=noninteractive")
    assert "--no-install-recommends" in install
    assert "libvirt-daemon-system" in install
    assert "iptables" not in install


def test_a_package_that_was_removed_does_not_count() -> None:
    tools = FakeTools({"dpkg-query": "config-files vagrant 2.3.4\n", "apt-cache": MADISON})
    assert lines(vagrant_probe()(host(tools)))[-1].endswith("vagrant vagrant-libvirt")


@pytest.mark.parametrize(
    ("os_id", "like", "start"),
    [
        ("fedora", (), "sudo dnf install libvirt-daemon-kvm dnsmasq iptables-nft mmdebstrap apt "),
        ("rocky", ("rhel", "centos", "fedora"), "sudo dnf install "),
        ("opensuse-leap", ("suse", "opensuse"), "sudo zypper install libvirt-daemon-qemu dnsmasq "),
        ("manjaro", ("arch",), "sudo pacman -S libvirt dnsmasq "),
    ],
)
def test_on_other_systems_what_to_type_is_said_and_nothing_is_run(
    os_id: str, like: tuple[str, ...], start: str
) -> None:
    machine = host(FakeTools(programs={"virsh": "/usr/bin/virsh"}), os_id=os_id, os_like=like)
    answer = probe_packages(machine)
    assert (answer.level, answer.fixes) == ("fail", ())
    assert "not found: libvirtd dnsmasq" in answer.message
    (line,) = answer.by_hand
    assert line.startswith(start)
    for probe in (probe_qemu, probe_go, probe_skopeo, vagrant_probe()):
        found = probe(machine)
        assert (found.level, found.fixes) == ("fail", ())
        assert found.by_hand


def test_what_a_system_does_not_package_is_named() -> None:
    message = probe_packages(host(FakeTools(), os_id="arch")).message
    assert message.endswith("not packaged, as far as is known here: mmdebstrap apt-get")


def test_a_system_that_nothing_is_known_of_is_told_what_is_missing() -> None:
    answer = probe_packages(host(FakeTools(programs={"virsh": "/usr/bin/virsh"}), os_id="gentoo"))
    assert (answer.level, answer.fixes, answer.by_hand) == ("fail", (), ())
    assert "dnsmasq" in answer.message
    assert "virsh" not in answer.message


def test_what_is_typed_by_hand_is_in_the_error_of_a_fix_too() -> None:
    answer = Answer("fail", "not found: go", by_hand=("sudo dnf install golang",))
    with pytest.raises(LabError, match="sudo dnf install golang"):
        fix(host(FakeTools()), Told(), [Check("x", "X", lambda _: answer)])


def test_a_derived_system_gets_the_packages_of_its_family() -> None:
    machine = host(FakeTools(dpkg()), os_id="linuxmint", os_like=("ubuntu", "debian"))
    assert "libvirt-daemon-system" in probe_packages(machine).fixes[-1].argv


def test_an_ubuntu_whose_qemu_is_too_old_is_told_so_and_nothing_is_run(etc: Path) -> None:
    tools = FakeTools({**dpkg(), "apt-cache madison": MADISON.replace("7.2", "6.2")})
    answer = probe_qemu(host(tools, etc, os_id="ubuntu", os_codename="jammy"))
    assert (answer.level, answer.fixes) == ("fail", ())
    assert "newer one" in answer.message


def test_the_distributions_vagrant_is_known_without_starting_it() -> None:
    tools = FakeTools(
        dpkg(vagrant="2.3.4+dfsg-1", vagrant_libvirt="0.11.2-1"), {"vagrant": "/usr/bin/vagrant"}
    )
    assert vagrant_probe()(host(tools)).level == "ok"
    assert not any(call.startswith("vagrant") for call in tools.calls)


@pytest.mark.parametrize(
    ("plugins", "level"),
    [('{"installed": {"vagrant-libvirt": {"gem_version": "0.12.2"}}}', "ok"), ('{"installed": {}}', "fail")],
)
def test_a_vagrant_of_the_users_own_has_its_plugins_at_home(tmp_path: Path, plugins: str, level: str) -> None:
    folder = tmp_path / "home" / ".vagrant.d"
    folder.mkdir(parents=True)
    (folder / "plugins.json").write_text(plugins)
    tools = FakeTools({**dpkg(), "vagrant --version": "Vagrant 2.4.9\n"}, {"vagrant": "/opt/bin/vagrant"})
    answer = vagrant_probe()(host(tools, tmp_path))
    assert answer.level == level
    if level == "fail":
        assert answer.fixes[-1].line(is_root=False) == "vagrant plugin install vagrant-libvirt"


def ubuntu(tools: FakeTools, root: Path) -> Host:
    return host(tools, root, os_id="ubuntu", os_like=("debian",), os_codename="noble", is_root=False)


NO_VAGRANT: dict[str, str | LabError] = {
    **dpkg(),
    "apt-cache madison": MADISON,
    "apt-cache madison vagrant": "",
}


def test_where_vagrant_is_not_packaged_hashicorps_is_offered_and_not_run(tmp_path: Path) -> None:
    answer = vagrant_probe()(ubuntu(FakeTools(NO_VAGRANT), tmp_path))
    assert (answer.level, answer.fixes) == ("fail", ())
    assert "ubuntu noble does not package it" in answer.message
    assert "--vagrant-from-hashicorp" in answer.message
    text = "\n".join(answer.by_hand)
    assert "apt.releases.hashicorp.com/gpg" in text
    assert "Suites: noble" in text
    assert answer.by_hand[-1] == "vagrant plugin install vagrant-libvirt"


def test_hashicorps_vagrant_is_installed_when_it_is_asked_for(tmp_path: Path) -> None:
    answer = vagrant_probe(from_hashicorp=True)(ubuntu(FakeTools(NO_VAGRANT), tmp_path))
    install = next(command.argv for command in answer.fixes if "vagrant" in command.argv)
    assert {"libvirt-dev", "ruby-dev", "gcc"} < set(install)
    assert "Signed-By: /usr/share/keyrings/hashicorp" in next(c.stdin for c in answer.fixes if c.stdin)
    assert answer.fixes[-1].line(is_root=False) == "vagrant plugin install vagrant-libvirt"


def test_a_packaged_vagrant_is_preferred_even_then() -> None:
    tools = FakeTools({**dpkg(), "apt-cache madison": MADISON})
    answer = vagrant_probe(from_hashicorp=True)(host(tools))
    assert lines(answer)[-1].endswith("vagrant vagrant-libvirt")


def test_the_plugin_of_a_vagrant_of_the_users_own_needs_what_it_is_compiled_with(tmp_path: Path) -> None:
    tools = FakeTools(
        {**dpkg(gcc="12", make="4"), "vagrant --version": "Vagrant 2.4.9\n"}, {"vagrant": "/opt/bin/vagrant"}
    )
    *_, install, plugin = vagrant_probe()(host(tools, tmp_path)).fixes
    assert install.argv[-4:] == ("libvirt-dev", "ruby-dev", "g++", "pkg-config")
    assert not plugin.root


def test_an_old_vagrant_is_refused() -> None:
    tools = FakeTools({**dpkg(), "vagrant --version": "Vagrant 2.2.19\n"}, {"vagrant": "/opt/bin/vagrant"})
    assert "too old" in vagrant_probe()(host(tools)).message


@pytest.mark.parametrize(
    ("text", "level"),
    [("go version go1.26.8 linux/amd64", "ok"), ("go version go1.19.8 linux/amd64", "fail")],
)
def test_a_go_on_the_path_is_respected(etc: Path, text: str, level: str) -> None:
    tools = FakeTools({"go version": text, "apt-cache": MADISON}, {"go": "/opt/go"})
    assert probe_go(host(tools, etc)).level == level


def test_skopeo_is_asked_for_and_installed(etc: Path) -> None:
    assert probe_skopeo(host(FakeTools({}, {"skopeo": "/usr/bin/skopeo"}), etc)).level == "ok"
    found = probe_skopeo(host(FakeTools({}), etc))
    assert found.level == "fail"
    assert "skopeo" in found.fixes[-1].argv


# apt's sources


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.list", "deb http://m.example/d bookworm main\n", "URIs: http://m.example/d"),
        (
            "a.list",
            "deb [arch=amd64 signed-by=/k.gpg] http://m.example/d bookworm main\n",
            "Signed-By: /k.gpg",
        ),
        ("a.sources", DEB822.replace("/usr/share/keyrings/some.gpg", "\n KEY1\n KEY2"), " KEY1\n KEY2"),
    ],
)
def test_both_kinds_of_source_are_understood(tmp_path: Path, name: str, text: str, expected: str) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / name).write_text(text)
    own = source_of("bookworm", sources(tmp_path))
    assert own is not None
    assert expected in own.with_suite("bookworm-backports")


def test_a_password_in_a_source_stays_unreadable_to_others(etc: Path) -> None:
    (etc / "etc/apt/sources.list.d/debian.sources").write_text(DEB822.replace("http://", "http://me:secret@"))
    tools = FakeTools({**dpkg(), "apt-cache madison": MADISON})
    assert probe_qemu(host(tools, etc)).fixes[0].argv[:3] == ("install", "-m", "600")


def test_a_source_with_odd_bytes_and_quotes_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_bytes(
        b"# caf\xe9\ndeb [arch='amd64] http://m.example/d bookworm main\n"
    )
    own = source_of("bookworm", sources(tmp_path))
    assert own is not None
    assert own.uris == "http://m.example/d"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.list", "# deb http://m.example/d bookworm main\ndeb-src http://m.example/d bookworm main\n"),
        ("a.sources", DEB822.replace("Components: main contrib", "Enabled: no")),
        ("a.sources.disabled", DEB822),
    ],
)
def test_sources_that_apt_ignores_are_ignored(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / name).write_text(text)
    assert source_of("bookworm", sources(tmp_path)) is None


# libvirt

ALL_SOCKETS = {"system_bus_socket", "virtlogd-sock", "libvirt-sock"}


def test_only_silent_daemons_are_started() -> None:
    answer = probe_daemons(host(FakeTools(listening={"system_bus_socket"})))
    assert answer.message == "no answer from: virtlogd, libvirtd"
    assert [line.split()[2] for line in lines(answer)] == ["'virtlogd", "'libvirtd"]


def test_systemd_starts_its_own_daemons() -> None:
    answer = probe_daemons(host(FakeTools(), has_systemd=True))
    assert all(line.startswith("systemctl ") for line in lines(answer))


def test_a_daemon_never_gets_the_pipes_of_its_starter() -> None:
    assert all(">/dev/null 2>&1 </dev/null" in line for line in lines(probe_daemons(host(FakeTools()))))


@pytest.mark.parametrize(("version", "level"), [("9.0.0", "ok"), ("8.0.0", "fail")])
def test_libvirt_9_is_needed(version: str, level: str) -> None:
    text = f"Using library: libvirt {version}\nRunning against daemon: {version}\n"
    tools = FakeTools({"virsh -c qemu:///system version": text}, listening=ALL_SOCKETS)
    assert probe_daemons(host(tools)).level == level


def pools(**found: tuple[str, str, str]) -> dict[str, str | LabError]:
    """Return libvirt's answers for pools, each with its state, kind and folder."""
    rows = "".join(f" {name}   {state}   yes\n" for name, (state, _, _) in found.items())
    answers: dict[str, str | LabError] = {
        f"virsh -c qemu:///system pool-dumpxml {name}": (
            f"<pool type='{kind}'><name>{name}</name><available unit='bytes'>{2**40}</available>"
            f"<target><path>{folder}</path></target></pool>"
        )
        for name, (_, kind, folder) in found.items()
    }
    table = f" Name      State    Autostart\n-----------------\n{rows}"
    return {**answers, "virsh -c qemu:///system pool-list": table}


IMAGES = "/var/lib/libvirt/images"


@pytest.mark.parametrize(
    ("found", "level", "verbs"),
    [
        ({"default": ("active", "dir", IMAGES)}, "ok", []),
        ({"default": ("active", "dir", "/srv/vms")}, "ok", []),
        ({"default": ("inactive", "dir", IMAGES)}, "fail", ["pool-build", "pool-start", "pool-autostart"]),
        # What such a pool is built of would be formatted.
        ({"default": ("inactive", "fs", "/mnt")}, "fail", ["pool-start", "pool-autostart"]),
        ({"default": ("active", "logical", "/dev/vg0")}, "fail", []),
        ({}, "fail", ["pool-define-as", "pool-build", "pool-start", "pool-autostart"]),
    ],
)
def test_the_pool_gets_what_it_lacks(
    found: dict[str, tuple[str, str, str]], level: str, verbs: list[str]
) -> None:
    answer = probe_pool(host(FakeTools(pools(other=("active", "dir", "/srv/other"), **found))))
    assert answer.level == level
    assert [command.argv[3] for command in answer.fixes] == verbs


@pytest.mark.parametrize(
    ("folder", "target"),
    [("/srv/other", IMAGES), (IMAGES, "/var/lib/libvirt/kubelab"), (f"{IMAGES}/", "kubelab")],
)
def test_a_folder_that_another_pool_has_is_left_to_it(folder: str, target: str) -> None:
    answer = probe_pool(host(FakeTools(pools(images=("active", "dir", folder)))))
    assert answer.fixes[0].argv[-1].endswith(target)


def test_a_pool_on_a_disk_that_is_nearly_full_is_told() -> None:
    answers = pools(default=("active", "dir", "/srv/vms"))
    name = "virsh -c qemu:///system pool-dumpxml default"
    answers[name] = str(answers[name]).replace(str(2**40), str(3 * 2**30))
    answer = probe_pool(host(FakeTools(answers)))
    assert (answer.level, answer.message.split(";")[0]) == (
        "warn",
        "the pool default has 3 GiB free in /srv/vms",
    )


# The firewall, and the way out

DROPS = "-P FORWARD DROP\n-A FORWARD -j DOCKER-USER\n"


@pytest.fixture
def filtered(tmp_path: Path) -> Path:
    """Return a host whose bridges are shown to iptables."""
    path = tmp_path / "proc/sys/net/bridge/bridge-nf-call-iptables"
    path.parent.mkdir(parents=True)
    path.write_text("1\n")
    return tmp_path


@pytest.mark.parametrize(
    ("rules", "libvirt", "level"),
    [
        (DROPS, "10.10.0", "warn"),
        (DROPS, "9.0.0", "ok"),
        ("-P FORWARD ACCEPT\n", "10.10.0", "ok"),
        (f"{DROPS}-A FORWARD -i kl+ -o kl+ -j ACCEPT\n", "10.10.0", "ok"),
    ],
)
def test_a_firewall_that_drops_what_nodes_send_each_other_is_told(
    filtered: Path, rules: str, libvirt: str, level: str
) -> None:
    tools = FakeTools({"iptables -S FORWARD": rules, "virsh --version": f"{libvirt}\n"})
    answer = probe_firewall(host(tools, filtered, is_root=False))
    assert (answer.level, answer.fixes) == (level, ())
    if level == "warn":
        assert answer.by_hand == ("sudo iptables -I FORWARD -i kl+ -o kl+ -j ACCEPT",)


def test_libvirts_iptables_rules_come_before_the_policy(filtered: Path) -> None:
    config = filtered / "etc/libvirt/network.conf"
    config.parent.mkdir(parents=True)
    config.write_text('# firewall_backend = "nftables"\nfirewall_backend = "iptables"\n')
    tools = FakeTools({"iptables -S FORWARD": DROPS, "virsh --version": "10.10.0\n"})
    assert probe_firewall(host(tools, filtered)).level == "ok"


def test_bridges_that_no_firewall_sees_need_no_root(tmp_path: Path) -> None:
    tools = FakeTools()
    assert probe_firewall(host(tools, tmp_path)).level == "ok"
    assert tools.calls == []


@pytest.mark.parametrize(
    ("mtu", "wanted", "level"),
    [(1500, 1500, "ok"), (1400, 1500, "warn"), (1400, 1400, "ok"), (0, 1500, "ok")],
)
def test_a_way_out_that_takes_smaller_packets_is_told(mtu: int, wanted: int, level: str) -> None:
    answer = mtu_probe(wanted)(host(FakeTools(), uplink="tun0", mtu=mtu))
    assert answer.level == level
    if level == "warn":
        assert "tun0" in answer.message
        assert answer.by_hand == ("in lab.yaml: network: {mtu: 1400}",)


def test_a_user_outside_the_group_is_added() -> None:
    answer = probe_group(host(FakeTools({"id -nG": "ann sudo\n"}), is_root=False))
    assert answer.level == "fail"
    assert answer.fixes[0].line(is_root=False) == "sudo usermod -aG libvirt ann"
    assert probe_group(host(FakeTools({"id -nG": "ann libvirt\n"}), is_root=False)).level == "ok"


@pytest.mark.parametrize(("programs", "level"), [({"sg": "/usr/bin/sg"}, "ok"), ({}, "fail")])
def test_a_session_older_than_the_group_needs_no_new_login_where_there_is_sg(
    programs: dict[str, str], level: str
) -> None:
    tools = FakeTools({"id -nG": "ann sudo\n", "id -nG ann": "ann sudo libvirt\n"}, programs)
    answer = probe_group(host(tools, is_root=False))
    assert (answer.level, answer.fixes) == (level, ())
    assert "login" in answer.message or "log in" in answer.message


# What libvirt remembers of QEMU


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    for name in ("usr/bin/qemu-system-x86_64", "usr/sbin/libvirtd", "dev/kvm"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "dev/kvm").chmod(0o600)
    return tmp_path


def cached(root: Path, *, kvm: bool = False, qemu_age: int = 0, libvirt_age: int = 0) -> FakeTools:
    changed = int((root / "usr/bin/qemu-system-x86_64").stat().st_ctime)
    text = (
        "<!-- a cache -->\n<qemuCaps>\n  <emulator>/usr/bin/qemu-system-x86_64</emulator>\n"
        f"  <qemuctime>{changed - qemu_age}</qemuctime>\n"
        f"  <selfctime>{changed - libvirt_age + 1}</selfctime>\n"
        + ("  <flag name='kvm'/>\n" if kvm else "")
        + "  <property name='kvm' type='boolean'/>\n</qemuCaps>\n"
    )
    return FakeTools({"sh -c cat ": text})


@pytest.mark.parametrize(
    ("kvm", "qemu_age", "libvirt_age", "level"),
    [
        (False, 0, 0, "ok"),
        (True, 0, 0, "warn"),  # made with KVM, which QEMU's user cannot open
        (False, 60, 0, "warn"),  # of a QEMU that was replaced since
        (False, 0, 60, "warn"),  # by a libvirt that was replaced since
    ],
)
def test_an_answer_lasts_when_made_without_kvm_by_todays_programs(
    trap: Path, kvm: bool, qemu_age: int, libvirt_age: int, level: str
) -> None:
    tools = cached(trap, kvm=kvm, qemu_age=qemu_age, libvirt_age=libvirt_age)
    assert probe_trap(host(tools, trap)).level == level


def test_no_cache_at_all_is_the_trap_too(trap: Path) -> None:
    tools = FakeTools({"sh -c cat ": ToolFailed(["cat"], 1, "No such file")})
    assert probe_trap(host(tools, trap)).level == "warn"


def test_every_installed_emulator_needs_an_answer(trap: Path) -> None:
    (trap / "usr/bin/qemu-system-i386").touch()
    answer = probe_trap(host(cached(trap), trap))
    assert answer.level == "warn"
    assert "qemu-system-i386 --arch i686" in lines(answer)[0]


@pytest.mark.parametrize("facts", [{"kvm_usable": True}, {"kvm_present": False}])
def test_there_is_no_trap_with_a_usable_kvm_or_none(trap: Path, facts: dict[str, bool]) -> None:
    assert probe_trap(host(FakeTools(), trap, **facts)).level == "ok"


def test_there_is_no_trap_where_qemus_user_may_open_kvm(trap: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (trap / "dev/kvm").chmod(0o666)
    monkeypatch.setattr("provision.doctor.qemu_cache.QEMU_USER", "nobody")
    assert probe_trap(host(FakeTools(), trap)).level == "ok"


def test_libvirtd_is_stopped_before_and_started_after_it_learnt(trap: Path) -> None:
    learn, prove = probe_trap(host(cached(trap, kvm=True), trap)).fixes
    script = learn.argv[-1]
    assert script.index("libvirtd -d") < script.index(f"{trap}/run/libvirtd.pid") < script.index("unshare -m")
    assert "undefine" in prove.argv[-1]
    systemd = probe_trap(host(cached(trap, kvm=True), trap, has_systemd=True)).fixes
    assert "systemctl stop libvirtd.socket" in systemd[0].argv[-1]


def test_cache_files_without_the_expected_fields_are_skipped() -> None:
    assert remembered("<qemuCaps><emulator>/usr/bin/qemu</emulator></qemuCaps> rubbish") == []


# Commands as the user sees them


def test_a_line_can_be_pasted() -> None:
    command = Command(("tee", "/etc/a b"), stdin="one\nit's\n")
    assert command.line(is_root=True) == """printf '%s\\n' one 'it'"'"'s' | tee '/etc/a b'"""
    assert command.line(is_root=False).endswith("| sudo tee '/etc/a b'")


# Mending

MEND = Command(("mend",))


def switch(state: dict[str, bool], *fixes: Command) -> Callable[[Host], Answer]:
    return lambda _: good("fine") if state["on"] else bad("broken", *(fixes or (MEND,)))


class MendingTools(FakeTools):
    """Whatever it runs switches `state` on."""

    state: dict[str, bool]

    def run(
        self,
        argv: Sequence[str],
        *,
        deadline: float,
        root: bool = False,
        stdin: str = "",
        on_line: Callable[[str], None] | None = None,
    ) -> str:
        answer = super().run(argv, deadline=deadline, root=root)
        self.state["on"] = True
        return answer


def test_a_second_fix_runs_nothing() -> None:
    tools = MendingTools({"mend": ""})
    tools.state = {"on": False}
    check = Check("x", "X", switch(tools.state))
    told = Told()
    assert [finding.level for finding in fix(host(tools), told, [check])] == ["ok"]
    assert tools.calls == ["root mend"]
    fix(host(tools), told, [check])
    assert tools.calls == ["root mend"]


def test_what_is_run_without_root_is_shown() -> None:
    tools = MendingTools({"mend": ""})
    tools.state = {"on": False}
    told = Told()
    fix(host(tools), told, [Check("x", "X", switch(tools.state, Command(("mend", "it"), root=False)))])
    assert tools.calls == ["mend it"]
    assert "mend it" in told.infos


def test_a_fix_that_did_not_help_is_an_error_and_not_repeated() -> None:
    tools = FakeTools({"mend": ""})
    with pytest.raises(LabError, match="X: broken"):
        fix(host(tools), Told(), [Check("x", "X", switch({"on": False}))])
    assert tools.calls == ["root mend"]


def test_what_is_to_be_run_is_asked_again_after_the_first_commands() -> None:
    tools = FakeTools({"update": "", "install": ""})
    stages = [Command(("update",)), Command(("install",))]

    def probe(_: Host) -> Answer:
        done = len(tools.calls)
        return bad("missing", stages[done]) if done < len(stages) else good("there")

    assert fix(host(tools), Told(), [Check("x", "X", probe)])[0].ok
    assert tools.calls == ["root update", "root install"]


def test_a_refused_machine_is_left_alone() -> None:
    tools = FakeTools()
    later = Check("y", "Y", switch({"on": False}))
    refusal = Check("x", "X", lambda _: bad("not this machine"), gate=True)
    with pytest.raises(LabError, match="not this machine"):
        fix(host(tools), Told(), [refusal, later])
    assert tools.calls == []


def test_a_failing_recommendation_is_a_warning_and_its_other_commands_still_run() -> None:
    tools = FakeTools({"stop": ToolFailed(["stop"], 1, ""), "start": ""})
    answer = Answer("warn", "slow", (Command(("stop",)), Command(("start",))))
    told = Told()
    assert fix(host(tools), told, [Check("x", "X", lambda _: answer)])[0].level == "warn"
    assert tools.calls == ["root stop", "root start"]
    assert "stop" in told.warnings[0]


def test_a_held_lock_is_waited_for() -> None:
    tools = FakeTools({"mend": ToolFailed(["mend"], 100, "E: Could not get lock /var/lib/apt/lists/lock")})
    clock = StoppedClock()
    with pytest.raises(LabError, match="lock") as caught:
        fix(host(tools), Told(), [Check("x", "X", switch({"on": False}))], clock)
    assert "another apt" in caught.value.hint
    assert len(tools.calls) > 100
    assert 290 < clock.time <= 300


def test_a_release_without_the_package_is_named_as_such() -> None:
    failed = ToolFailed(["apt-get"], 100, "E: Unable to locate package vagrant")
    with pytest.raises(LabError, match=r"does not package.*\n.*vagrant"):
        fix(host(FakeTools({"mend": failed})), Told(), [Check("x", "X", switch({"on": False}))])


def test_a_check_that_cannot_be_made_is_a_finding() -> None:
    tools = FakeTools({"dpkg-query": MissingTool("the program `dpkg-query` is not installed")})
    (finding,) = diagnose(host(tools), [Check("q", "Q", probe_qemu)])
    assert finding.level == "fail"
    assert "dpkg-query" in finding.message


def test_essentials_leave_out_what_up_can_do_without() -> None:
    asked: list[str] = []

    def probe(_: Host) -> Answer:
        asked.append("one")
        return good("")

    checks = [Check("a", "A", probe), Check("b", "B", probe, essential=False)]
    assert [finding.id for finding in essentials(host(FakeTools()), checks)] == ["a"]
    assert asked == ["one"]


def test_what_only_some_labs_need_is_asked_only_for_them() -> None:
    ranges = [IPv4Network("10.0.0.0/24")]
    assert not {"networks", "mtu", "skopeo", "go", "helm"} & {check.id for check in checks_for()}
    ids = [check.id for check in checks_for(LabNeeds(ranges, [], 1500, ["go"]))]
    assert {"networks", "mtu", "go"} < set(ids)
    assert not {"skopeo", "helm"} & set(ids)
    # Behind the groups a command runs again, and what comes before is asked twice.
    assert ids.index("go") < ids.index("group") < ids.index("daemons")


def test_helm_is_not_packaged_by_debian_so_its_site_is_named() -> None:
    assert probe_helm(host(FakeTools(programs={"helm": "/usr/local/bin/helm"}))).level == "ok"
    answer = probe_helm(host(FakeTools()))
    assert (answer.level, answer.fixes) == ("fail", ())
    assert "helm.sh" in answer.by_hand[0]
