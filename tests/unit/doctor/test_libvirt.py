from __future__ import annotations

import pytest

from provision.doctor.libvirt import probe_daemons, probe_group
from tests.fakes.doctor import FakeTools, host, lines

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
