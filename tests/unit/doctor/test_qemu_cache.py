from __future__ import annotations

import os
from pathlib import Path

import pytest

from provision.doctor.qemu_cache import probe as probe_trap
from provision.doctor.qemu_cache import remembered
from provision.errors import ToolFailed
from tests.fakes.doctor import FakeTools, host, lines


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("provision.doctor.qemu_cache.QEMU_USERS", ("no-such-user", "nobody"))
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


def test_there_is_no_trap_where_qemus_user_may_open_kvm(trap: Path) -> None:
    (trap / "dev/kvm").chmod(0o666)
    assert probe_trap(host(FakeTools(), trap)).level == "ok"


def test_a_user_may_open_it_by_any_of_its_groups(trap: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (trap / "dev/kvm").chmod(0o660)
    group = (trap / "dev/kvm").stat().st_gid
    assert probe_trap(host(cached(trap, kvm=True), trap)).level == "warn"
    monkeypatch.setattr(os, "getgrouplist", lambda name, own: [own, group])
    assert probe_trap(host(FakeTools(), trap)).level == "ok"


@pytest.mark.parametrize(
    ("settings", "level"),
    [
        ('user = "root"\n', "ok"),
        ('# user = "root"\n', "warn"),
        ('# who runs QEMU\n  user="+0" # root\ngroup = "kvm"\n', "ok"),
        ('user = "nobody"\n', "warn"),
        ('user_other = "root"\n', "warn"),
    ],
)
def test_libvirts_settings_say_who_runs_qemu(trap: Path, settings: str, level: str) -> None:
    file = trap / "etc/libvirt/qemu.conf"
    file.parent.mkdir(parents=True)
    file.write_text(settings)
    assert probe_trap(host(cached(trap, kvm=True), trap)).level == level


def test_settings_that_only_root_may_read_are_read_as_root(
    trap: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)
    tools = FakeTools({f"cat {trap}/etc/libvirt/qemu.conf": 'user = "root"\n'})
    assert probe_trap(host(tools, trap)).level == "ok"
    assert tools.calls == [f"root cat {trap}/etc/libvirt/qemu.conf"]


def test_where_nobody_knows_who_runs_qemu_nothing_is_mended(
    trap: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provision.doctor.qemu_cache.QEMU_USERS", ("no-such-user",))
    answer = probe_trap(host(FakeTools(), trap))
    assert (answer.level, answer.fixes) == ("ok", ())


def test_ctrl_c_waits_until_libvirtd_is_on_again(trap: Path) -> None:
    learn, prove = probe_trap(host(cached(trap, kvm=True), trap)).fixes
    assert (learn.whole, prove.whole) == (True, False)


def test_libvirtd_is_stopped_before_and_started_after_it_learnt(trap: Path) -> None:
    learn, prove = probe_trap(host(cached(trap, kvm=True), trap)).fixes
    script = learn.argv[-1]
    assert script.index("libvirtd -d") < script.index(f"{trap}/run/libvirtd.pid") < script.index("unshare -m")
    assert "undefine" in prove.argv[-1]
    systemd = probe_trap(host(cached(trap, kvm=True), trap, has_systemd=True)).fixes
    assert "systemctl stop libvirtd.socket" in systemd[0].argv[-1]


def test_cache_files_without_the_expected_fields_are_skipped() -> None:
    assert remembered("<qemuCaps><emulator>/usr/bin/qemu</emulator></qemuCaps> rubbish") == []
