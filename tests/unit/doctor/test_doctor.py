from __future__ import annotations

from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provision.doctor import Check, Command, Host, checks_for, diagnose, essentials, fix
from provision.doctor.apt import numbers
from provision.doctor.apt_sources import source_of, sources
from provision.doctor.findings import Answer, bad, good
from provision.doctor.hardware import network_probe, probe_arch, probe_cpu, probe_disk, probe_os, probe_python
from provision.doctor.libvirt import probe_daemons, probe_group, probe_pool
from provision.doctor.packages import probe_go, probe_packages, probe_qemu, probe_skopeo, probe_vagrant
from provision.doctor.qemu_cache import probe as probe_trap
from provision.doctor.qemu_cache import remembered
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
        self.lines: list[str] = []

    def info(self, text: str) -> None:
        self.infos.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def progress(self, text: str) -> None:
        self.lines.append(text)


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


@pytest.mark.parametrize(("os_id", "level"), [("debian", "ok"), ("ubuntu", "ok"), ("fedora", "warn")])
def test_other_systems_are_warned_about_not_refused(os_id: str, level: str) -> None:
    assert probe_os(host(FakeTools(), os_id=os_id)).level == level


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
    answer = network_probe(lab, own=["kl-lab"])(machine)
    assert answer.level == "fail"
    assert "eth0" in answer.message
    assert "kl-lab" not in answer.message
    assert network_probe([IPv4Network("10.9.0.0/24")])(machine).level == "ok"


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
    assert write.argv == ("tee", str(etc / "etc/apt/sources.list.d/kubelab-backports.sources"))
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
    tools = FakeTools({"dpkg-query": "config-files vagrant 2.3.4\n"})
    assert lines(probe_vagrant(host(tools)))[-1].endswith("vagrant vagrant-libvirt")


def test_an_unknown_system_is_told_what_is_missing_and_nothing_is_run() -> None:
    answer = probe_packages(host(FakeTools(programs={"virsh": "/usr/bin/virsh"}), os_id="fedora"))
    assert answer.level == "fail"
    assert "dnsmasq" in answer.message
    assert "virsh" not in answer.message
    assert answer.fixes == ()


def test_the_distributions_vagrant_is_known_without_starting_it() -> None:
    tools = FakeTools(
        dpkg(vagrant="2.3.4+dfsg-1", vagrant_libvirt="0.11.2-1"), {"vagrant": "/usr/bin/vagrant"}
    )
    assert probe_vagrant(host(tools)).level == "ok"
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
    answer = probe_vagrant(host(tools, tmp_path))
    assert answer.level == level
    if level == "fail":
        (command,) = answer.fixes
        assert command.line(is_root=False) == "vagrant plugin install vagrant-libvirt"


def test_an_old_vagrant_is_refused() -> None:
    tools = FakeTools({**dpkg(), "vagrant --version": "Vagrant 2.2.19\n"}, {"vagrant": "/opt/bin/vagrant"})
    assert "too old" in probe_vagrant(host(tools)).message


@pytest.mark.parametrize(
    ("text", "level"),
    [("go version go1.26.8 linux/amd64", "ok"), ("go version go1.19.8 linux/amd64", "warn")],
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


@pytest.mark.parametrize(
    ("state", "verbs"),
    [
        ("active", []),
        ("inactive", ["pool-build", "pool-start", "pool-autostart"]),
        (None, ["pool-define-as", "pool-build", "pool-start", "pool-autostart"]),
    ],
)
def test_the_pool_gets_what_it_lacks(state: str | None, verbs: list[str]) -> None:
    row = f" default   {state}   yes\n" if state else ""
    table = f" Name      State    Autostart\n-----------------\n{row} other     active   no\n"
    answer = probe_pool(host(FakeTools({"virsh -c qemu:///system pool-list": table})))
    assert [command.argv[3] for command in answer.fixes] == verbs
    assert (answer.level == "ok") is (state == "active")


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
    assert "qemu-system-i386 --arch i686" in lines(answer)[1]


@pytest.mark.parametrize("facts", [{"kvm_usable": True}, {"kvm_present": False}])
def test_there_is_no_trap_with_a_usable_kvm_or_none(trap: Path, facts: dict[str, bool]) -> None:
    assert probe_trap(host(FakeTools(), trap, **facts)).level == "ok"


def test_there_is_no_trap_where_qemus_user_may_open_kvm(trap: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (trap / "dev/kvm").chmod(0o666)
    monkeypatch.setattr("provision.doctor.qemu_cache.QEMU_USER", "nobody")
    assert probe_trap(host(FakeTools(), trap)).level == "ok"


def test_libvirtd_is_stopped_before_and_started_after_it_learnt(trap: Path) -> None:
    stop, learn, start, prove = probe_trap(host(cached(trap, kvm=True), trap)).fixes
    assert f"{trap}/run/libvirtd.pid" in stop.argv[-1]
    assert learn.argv[:2] == ("unshare", "-m")
    assert start.argv[-1].startswith("libvirtd -d")
    assert "undefine" in prove.argv[-1]
    systemd = probe_trap(host(cached(trap, kvm=True), trap, has_systemd=True)).fixes
    assert "libvirtd.socket" in systemd[0].argv


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
    assert (tools.calls, told.lines) == (["mend it"], ["mend it"])


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


def test_the_labs_networks_are_asked_about_only_with_a_lab() -> None:
    assert not {"networks", "skopeo"} & {check.id for check in checks_for()}
    assert "skopeo" in [check.id for check in checks_for(registries=True)]
    assert "networks" in [check.id for check in checks_for([IPv4Network("10.0.0.0/24")])]
