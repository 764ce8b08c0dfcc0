"""The doctor against stub programs on PATH and real sockets: its own seam, nothing of the host's."""

from __future__ import annotations

import os
import shutil
import socket
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from provision.doctor import CHECKS, Host, HostTools, diagnose, essentials, fix
from provision.doctor.libvirt import probe_daemons
from provision.errors import LabError, MissingTool, ToolFailed
from provision.host.facts import HostFacts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FACTS = HostFacts(
    cpus=2,
    memory_mib=16384,
    disk_free_mib=100_000,
    networks=(),
    cpu_flags=frozenset(),
    kvm_present=False,
    kvm_usable=False,
    os_id="debian",
    os_codename="bookworm",
    is_root=True,
    has_systemd=False,
    arch="x86_64",
)
SOURCE = "deb http://mirror.example/debian bookworm main\n"
# Real programs that the scripts under test and the stubs need; everything else is a stub or absent.
BORROWED = ("sh", "cat", "env", "tee", "mkdir", "rm", "touch", "grep", "id", "install", "sleep")

APT_GET = """\
[ "$1" = install ] || exit 0
shift
while [ "$#" -gt 0 ]; do
    case "$1" in
        -o) shift ;;
        -t) shift; suite=$1 ;;
        -*) ;;
        *) echo "installed $1 ${suite:+1:10.0.2}${suite:-2.3.4}" >> "$STATE/packages" ;;
    esac
    shift
done
"""
VIRSH = """\
case "$3" in
    version) echo "Running against daemon: 9.0.0" ;;
    pool-list) [ -e "$STATE/pool" ] && echo " default   active   yes"; exit 0 ;;
    pool-dumpxml) echo "<pool type='dir'><target><path>/var/lib/libvirt/images</path></target></pool>" ;;
    pool-start) touch "$STATE/pool" ;;
esac
"""
STUBS = {
    "apt-get": APT_GET,
    "apt-cache": 'echo " $2 | 1:7.2+dfsg | http://mirror.example/debian bookworm/main amd64 Packages"',
    "dpkg-query": 'cat "$STATE/packages"',
    "go": "echo go version go1.26.8 linux/amd64",
    "libvirtd": "",
    "mount": "exit 1",
    "sudo": 'shift; exec "$@"',
    "systemctl": "",
    "unshare": "exit 1",
    "vagrant": "echo Vagrant 2.4.9",
    "virsh": VIRSH,
    "virtlogd": "",
    "dbus-daemon": "",
}


class Silent:
    def info(self, text: str) -> None: ...
    def warn(self, text: str) -> None: ...
    def progress(self, text: str) -> None: ...


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Put stubs for everything the doctor starts on PATH, and return how to replace one."""
    folder, state = tmp_path / "bin", tmp_path / "state"
    folder.mkdir()
    state.mkdir()
    (state / "packages").touch()
    for name in BORROWED:
        program = shutil.which(name)
        assert program is not None
        (folder / name).symlink_to(program)
    log = state / "log"
    log.touch()

    def write(name: str, script: str) -> None:
        program = folder / name
        program.write_text(f'#!/bin/sh\nSTATE={state}\nprintf "%s\\n" "{name} $*" >> {log}\n{script}\n')
        program.chmod(0o755)

    for name, script in STUBS.items():
        write(name, script)
    monkeypatch.setenv("PATH", str(folder))
    return write


@pytest.fixture
def host(tmp_path: Path, stub: object) -> Host:
    apt = tmp_path / "etc" / "apt"
    (apt / "sources.list.d").mkdir(parents=True)
    (apt / "sources.list").write_text(SOURCE)
    plugins = tmp_path / ".vagrant.d" / "plugins.json"
    plugins.parent.mkdir()
    plugins.write_text('{"installed": {"vagrant-libvirt": {}}}')
    return Host(FACTS, HostTools(is_root=True), root=tmp_path, user="ann", home=tmp_path)


@pytest.fixture
def daemons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Listen on the sockets of all three daemons."""
    servers = []
    for name in ("dbus/system_bus_socket", "libvirt/virtlogd-sock", "libvirt/libvirt-sock"):
        path = tmp_path / "run" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        servers.append(listen(path, monkeypatch))
    yield
    for server in servers:
        server.close()


def listen(path: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # The name of a socket is short; a temporary folder may not be.
    monkeypatch.chdir(path.parent)
    server.bind(path.name)
    server.listen()
    return server


def log(host: Host) -> list[str]:
    return (host.root / "state" / "log").read_text().splitlines()


@pytest.mark.usefixtures("daemons")
def test_a_fresh_host_is_mended_and_the_second_fix_changes_nothing(host: Host) -> None:
    before = {finding.id for finding in diagnose(host) if not finding.ok}
    assert before == {"qemu", "packages", "pool"}

    after = fix(host, Silent())
    assert all(finding.ok for finding in after)
    assert [finding.id for finding in after] == [check.id for check in CHECKS]
    written = (host.root / "etc/apt/sources.list.d/kubelab-backports.sources").read_text()
    assert "URIs: http://mirror.example/debian\nSuites: bookworm-backports\n" in written
    installs = [line for line in log(host) if line.startswith("apt-get install")]
    assert len(installs) == 2
    assert all("--no-install-recommends" in line for line in installs)
    assert "-t bookworm-backports qemu-system-x86 qemu-utils" in installs[0]
    assert "virsh -c qemu:///system pool-start default" in log(host)

    done = len(log(host))
    assert all(finding.ok for finding in fix(host, Silent()))
    asked = {line.split(" -")[0] for line in log(host)[done:]}
    assert asked == {"dpkg-query", "vagrant", "virsh"}


@pytest.mark.usefixtures("daemons")
def test_essentials_start_no_go(host: Host) -> None:
    essentials(host)
    assert not any(line.startswith("go ") for line in log(host))


def test_apt_asks_nothing_and_removes_nothing(host: Host, stub: Callable[[str, str], None]) -> None:
    stub("apt-get", 'echo "$DEBIAN_FRONTEND" > "$STATE/frontend"; exit 100')
    stub("apt-cache", 'echo " $2 | 1:10.0 | http://mirror.example/debian trixie/main amd64 Packages"')
    finding = next(finding for finding in diagnose(host) if finding.id == "packages")
    with pytest.raises(ToolFailed):
        host.tools.run(finding.fixes[-1].argv, deadline=30)
    assert (host.root / "state/frontend").read_text() == "noninteractive\n"
    # Another QEMU, such as a vendor's, and all that needs it would go.
    assert "--no-remove" in finding.fixes[-1].argv


def test_others_than_root_go_through_sudo_which_never_asks(host: Host) -> None:
    said: list[str] = []
    tools = HostTools(said.append, is_root=False)
    tools.run(["systemctl", "start", "x"], deadline=30, root=True)
    tools.run(["systemctl", "status", "x"], deadline=30)
    assert log(host) == ["sudo -n systemctl start x", "systemctl start x", "systemctl status x"]
    assert said == ["as root: systemctl start x"]


def test_a_sudo_that_wants_a_password_is_explained(host: Host, stub: Callable[[str, str], None]) -> None:
    stub("sudo", 'echo "sudo: a password is required" >&2; exit 1')
    with pytest.raises(LabError, match="password") as caught:
        HostTools(is_root=False).run(["systemctl"], deadline=30, root=True)
    assert "no password" in caught.value.hint


def test_a_command_that_fails_under_sudo_keeps_its_own_error(
    host: Host, stub: Callable[[str, str], None]
) -> None:
    stub("systemctl", "echo no such unit >&2; exit 5")
    with pytest.raises(ToolFailed) as caught:
        HostTools(is_root=False).run(["systemctl"], deadline=30, root=True)
    assert (caught.value.code, caught.value.details) == (5, "no such unit")


def test_starting_daemons_does_not_wait_for_their_end(host: Host, stub: Callable[[str, str], None]) -> None:
    fifo = host.root / "state" / "end"
    os.mkfifo(fifo)
    # Like a daemon: the starter ends, its child lives on with whatever streams it was given.
    stub("libvirtd", f"cat {fifo} &")
    try:
        for command in probe_daemons(host).fixes:
            host.tools.run(command.argv, deadline=20)
    finally:
        fifo.write_text("end\n")
    assert [line.split()[0] for line in log(host)] == ["dbus-daemon", "virtlogd", "libvirtd"]


def test_a_dead_bus_leaves_no_pid_file_in_the_way(host: Host) -> None:
    pid = host.path("/run/dbus/pid")
    pid.parent.mkdir(parents=True)
    pid.write_text("4711")
    host.tools.run(probe_daemons(host).fixes[0].argv, deadline=20)
    assert not pid.exists()


@pytest.fixture
def trapped(host: Host) -> Host:
    """Return a host whose libvirt asks QEMU again and again."""
    machine = replace(host, facts=replace(FACTS, kvm_present=True))
    for name in ("usr/bin/qemu-system-x86_64", "dev/kvm", "run/libvirtd.pid"):
        machine.path(name).parent.mkdir(parents=True, exist_ok=True)
        machine.path(name).touch(0o600)
    # Debian's name for it is a user only where libvirt is installed.
    machine.path("/etc/libvirt").mkdir(parents=True)
    machine.path("/etc/libvirt/qemu.conf").write_text('user = "nobody"\n')
    return machine


def learn(machine: Host, deadline: float) -> None:
    """Run what lets libvirt learn QEMU anew."""
    trap = next(finding for finding in diagnose(machine) if finding.id == "probe-trap")
    machine.tools.run(trap.fixes[0].argv, deadline=deadline)


def test_a_libvirtd_of_another_name_is_never_killed(trapped: Host, stub: Callable[[str, str], None]) -> None:
    """A stale pid file may name any process: here, the one that runs this test."""
    stub("unshare", "")
    trapped.path("/run/libvirtd.pid").write_text(f"{os.getpid()}\n")
    learn(trapped, 20)


@pytest.mark.parametrize("script", ["exit 1", "sleep 60"])
def test_libvirtd_is_started_again_whatever_ends_the_learning(
    trapped: Host, stub: Callable[[str, str], None], script: str
) -> None:
    stub("unshare", script)
    with pytest.raises(ToolFailed):
        learn(trapped, 1)
    assert [line for line in log(trapped) if line.startswith(("unshare", "libvirtd"))][-1] == "libvirtd -d"


def test_only_a_socket_somebody_listens_on_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = HostTools(is_root=True)
    path = tmp_path / "s"
    assert not tools.answers(path)
    server = listen(path, monkeypatch)
    assert tools.answers(path)
    server.close()
    assert not tools.answers(path)


def test_a_missing_program_is_a_finding_not_a_crash(host: Host) -> None:
    (host.root / "bin" / "dpkg-query").unlink()
    with pytest.raises(MissingTool):
        host.tools.run(["dpkg-query"], deadline=5)
    messages = {finding.id: finding.message for finding in diagnose(host)}
    assert "dpkg-query" in messages["packages"]
