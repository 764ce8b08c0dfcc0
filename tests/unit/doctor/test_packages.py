from __future__ import annotations

from pathlib import Path

import pytest

from provision.doctor.apt import numbers
from provision.doctor.packages import probe_go, probe_helm, probe_packages, probe_qemu, probe_skopeo
from provision.doctor.vagrant import vagrant_probe
from tests.fakes.doctor import MADISON, FakeTools, dpkg, host


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


def test_a_derived_system_gets_the_packages_of_its_family() -> None:
    machine = host(FakeTools(dpkg()), os_id="linuxmint", os_like=("ubuntu", "debian"))
    assert "libvirt-daemon-system" in probe_packages(machine).fixes[-1].argv


def test_an_ubuntu_whose_qemu_is_too_old_is_told_so_and_nothing_is_run(etc: Path) -> None:
    tools = FakeTools({**dpkg(), "apt-cache madison": MADISON.replace("7.2", "6.2")})
    answer = probe_qemu(host(tools, etc, os_id="ubuntu", os_codename="jammy"))
    assert (answer.level, answer.fixes) == ("fail", ())
    assert "newer one" in answer.message


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


def test_helm_is_not_packaged_by_debian_so_its_site_is_named() -> None:
    assert probe_helm(host(FakeTools(programs={"helm": "/usr/local/bin/helm"}))).level == "ok"
    answer = probe_helm(host(FakeTools()))
    assert (answer.level, answer.fixes) == ("fail", ())
    assert "helm.sh" in answer.by_hand[0]
