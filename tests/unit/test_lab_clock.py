"""The box's clock keeper, run by bash with stubs for what it looks at and what it does."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest

from provision.resources import data

KEEP = "templates/box/overlay/usr/lib/kubelab/keep-clock.sh"
HOLD = "templates/box/overlay/usr/lib/kubelab/hold-clock.sh"


class Machine:
    """A folder that stands for the node: its hardware clock, its clock source, and what `date` was asked."""

    def __init__(self, folder: Path, virt: str) -> None:
        self.folder = folder
        self.source = folder / "current_clocksource"
        self.held = folder / "kubelab-clock-held"
        self.source.write_text("tsc\n")
        self.program("systemd-detect-virt", f"echo {virt}")
        self.program("sleep", "true")
        self.program("rm", 'exec /bin/rm "$@"')

    def program(self, name: str, body: str) -> None:
        file = self.folder / name
        file.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{body}\n")
        file.chmod(0o755)

    def run(self, script: str, seconds: float = 20) -> None:
        text = data(script).read_text()
        text = text.replace("/sys/class/rtc/rtc0/since_epoch", str(self.folder / "since_epoch"))
        text = text.replace("/sys/devices/system/clocksource/clocksource0", str(self.folder))
        text = text.replace("/run/", f"{self.folder}/")
        bash = shutil.which("bash")
        assert bash
        environment = {"PATH": str(self.folder)}
        subprocess.run([bash], input=text, env=environment, text=True, check=False, timeout=seconds)

    @property
    def said(self) -> list[str]:
        """Return what the clock was set to, in order."""
        file = self.folder / "set"
        return file.read_text().split() if file.exists() else []


@pytest.mark.parametrize(
    ("virt", "ahead", "steps"),
    [("qemu", 0, 0), ("qemu", -1, 0), ("kvm", 3600, 2), ("qemu", -3600, 2), ("oracle", 3600, 0)],
)
def test_the_clock_follows_the_hardware_clock_alone(
    tmp_path: Path, virt: str, ahead: int, steps: int
) -> None:
    machine = Machine(tmp_path, virt)
    rtc = tmp_path / "since_epoch"
    second = int(time.time()) + ahead
    rtc.write_text(f"{second}\n")
    # The next second begins once the clock was set for the first time; the keeper ends when it is gone.
    machine.program(
        "date",
        f"""printf '%s ' "$2" >> {tmp_path}/set
        if [ "$2" = "@{second + 1}" ]; then echo {second + 1} > {rtc}; else rm {rtc}; fi""",
    )
    if not steps:
        # It asks itself whether its clock is held after it looked at the clock: that ends it.
        machine.held.write_text("0\n")
        machine.program("rm", f"exec /bin/rm {rtc} {machine.held}")
    machine.run(KEEP)
    assert machine.said == [f"@{second + 1}", f"@{second + 1}.500000"][:steps]


def test_what_was_measured_at_a_save_sets_the_clock_to_the_microsecond(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "qemu")
    rtc = tmp_path / "since_epoch"
    rtc.write_text("1700000000\n")
    (tmp_path / "kubelab-clock-ahead").write_text("-20001\n")
    machine.program(
        "date",
        f"""printf '%s ' "$2" >> {tmp_path}/set
        if [ "$2" = "@1700000001" ]; then echo 1700000001 > {rtc}; else rm {rtc}; fi""",
    )
    machine.run(KEEP)
    assert machine.said == ["@1700000001", "@1700000000.979999"]


def test_a_save_measures_how_far_the_clock_is_ahead(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "kvm")
    ended = threading.Event()

    def tick() -> None:
        for odd in itertools.cycle((1, 0)):
            (tmp_path / "next").write_text(f"{int(time.time()) - odd}\n")
            (tmp_path / "next").replace(tmp_path / "since_epoch")
            if ended.is_set():
                return

    (tmp_path / "since_epoch").write_text("1\n")
    ticks = threading.Thread(target=tick)
    ticks.start()
    machine.run(HOLD)
    ended.set()
    ticks.join()
    ahead = int((tmp_path / "kubelab-clock-ahead").read_text())
    assert 0 <= ahead < 2_000_000


def test_a_held_clock_is_given_back_after_its_time(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "qemu")
    rtc = tmp_path / "since_epoch"
    rtc.write_text(f"{int(time.time())}\n")
    machine.program("date", "exit 1")
    machine.program("rm", f"exec /bin/rm {rtc} {machine.held}")
    machine.source.write_text("acpi_pm\n")
    machine.held.write_text("1\n")
    machine.run(KEEP)
    assert machine.source.read_text() == "tsc\n"
    assert machine.said == []


@pytest.mark.parametrize(("virt", "source"), [("qemu", "acpi_pm"), ("kvm", "tsc"), ("oracle", "tsc")])
def test_only_where_the_counter_cannot_go_back_another_is_read(
    tmp_path: Path, virt: str, source: str
) -> None:
    machine = Machine(tmp_path, virt)
    machine.run(HOLD)
    assert machine.source.read_text().strip() == source
    assert machine.held.exists() == (source == "acpi_pm")
