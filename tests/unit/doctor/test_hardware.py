from __future__ import annotations

import pytest

from provision.doctor.hardware import probe_arch, probe_cpu, probe_disk, probe_os, probe_python
from tests.fakes.doctor import FACTS, FakeTools, host


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
