"""The box's clock keeper, run by perl with stubs for what it looks at, what it sets, and how time passes."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from provision.templates import data

SCRIPT = "templates/box/overlay/usr/lib/kubelab/lab-clock.pl"
GETTIME, SETTIME = 228, 227
BEGAN = 1_700_000_000.25

# The world: `real` is the host's time, the hardware clock its whole seconds, `clock` the node's own. Time
# passes by waiting and by looking alone; after $looks of them the hardware clock is gone: the keeper ends. It
# cannot be read for the first $blind of them.
STUBS = r"""
our ($real, $clock, $looks, $folder, $slow, $blind, $shown, @set);
BEGIN {
    $shown = '-';
    ($real, $clock, $looks, $folder, $slow, $blind) = (REAL, CLOCK, LOOKS, 'FOLDER', SLOW, BLIND);
    my $pass = sub {
        my ($seconds) = @_;
        $real += $seconds;
        $clock += $seconds;
        my $shows = $blind-- <= 0 ? int($real) . "\n" : '';
        if ($shows ne $shown) {
            open(my $rtc, '>', "$folder/since_epoch");
            print $rtc $shows;
            close $rtc;
            $shown = $shows;
        }
        unlink "$folder/since_epoch" if $looks-- <= 0;
    };
    $pass->(0);
    *CORE::GLOBAL::select = sub { $pass->($_[3]) };
    *CORE::GLOBAL::sleep = sub { exit 0 };
    *CORE::GLOBAL::syscall = sub {
        my ($number, $which, $time) = @_;
        if ($number == 227) {
            my ($seconds, $nanoseconds) = unpack('qq', $time);
            $clock = $seconds + $nanoseconds / 1e9;
            push @set, $clock;
        }
        # Looking takes time as well: but for it a busy loop would never end.
        elsif ($number == 228) {
            $pass->(shift(@$slow) // 0.001);
            $_[2] = pack('qq', int($clock), ($clock - int($clock)) * 1e9);
        }
        return 0;
    };
}
END { printf "[%s]\n", join(',', map { sprintf '%.6f', $_ - $clock } @set); printf "%.6f\n", $clock - $real }
"""


@dataclass
class Machine:
    """A folder that stands for the node; `off` is how many seconds its clock is ahead of the host's."""

    folder: Path
    virt: str = "qemu"
    off: float = 0.0
    looks: int = 1200
    # Seconds that the first looks take, in turn.
    slow: tuple[float, ...] = ()
    # How many looks find a hardware clock that cannot be read.
    blind: int = 0
    # The lines that the script printed when it ran last.
    said: list[str] = field(default_factory=list)

    def run(self, mode: str) -> tuple[int, float]:
        """Return how often the clock was set, and how far it is ahead in the end."""
        program = self.folder / "systemd-detect-virt"
        program.write_text(f"#!/bin/sh\necho {self.virt}\n")
        program.chmod(0o755)
        values = {
            "REAL": str(BEGAN),
            "CLOCK": str(BEGAN + self.off),
            "LOOKS": str(self.looks),
            "SLOW": json.dumps(self.slow),
            "BLIND": str(self.blind),
            "FOLDER": str(self.folder),
        }
        text = STUBS
        for name, value in values.items():
            text = text.replace(name, value)
        script = data(SCRIPT).read_text()
        script = script.replace("/sys/class/rtc/rtc0", str(self.folder)).replace("/run/", f"{self.folder}/")
        script = script.replace("/sys/devices/system/clocksource/clocksource0", str(self.folder))
        perl = shutil.which("perl")
        assert perl
        done = subprocess.run(
            [perl, "-", mode],
            input=text + script,
            env={"PATH": str(self.folder)},
            text=True,
            capture_output=True,
            check=True,
            timeout=60,
        )
        assert done.stderr == ""
        *self.said, times, ahead = done.stdout.splitlines()
        return len(json.loads(times)), float(ahead)

    def read(self, name: str) -> str | None:
        file = self.folder / name
        return file.read_text().strip() if file.exists() else None

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(f"{text}\n")


@pytest.mark.parametrize("off", [0.0, 0.8, -0.8])
@pytest.mark.parametrize("virt", ["qemu", "kvm"])
def test_a_clock_that_follows_the_hardware_clock_is_left_alone(tmp_path: Path, virt: str, off: float) -> None:
    assert Machine(tmp_path, virt, off).run("keep") == (0, pytest.approx(off))


@pytest.mark.parametrize("off", [3600.0, -3600.0, 4.0, -2.5])
def test_a_clock_that_left_the_hardware_clock_is_set_right_by_what_was_measured(
    tmp_path: Path, off: float
) -> None:
    machine = Machine(tmp_path, off=off)
    machine.write("kubelab-clock-ahead", "0.0")
    times, ahead = machine.run("keep")
    # At once to the nearest second, then as the hardware clock begins one.
    assert (times, ahead) == (2, pytest.approx(0, abs=0.03))


@pytest.mark.parametrize("measured", [0.0, 0.4, 0.95])
@pytest.mark.parametrize("off", [0.8, -0.8, 0.6, -0.6])
def test_what_was_measured_shows_a_clock_that_is_off_by_less_than_a_second(
    tmp_path: Path, measured: float, off: float
) -> None:
    machine = Machine(tmp_path, off=measured + off)
    machine.write("kubelab-clock-ahead", str(measured))
    assert machine.run("keep") == (2, pytest.approx(measured, abs=0.03))


@pytest.mark.parametrize("measured", [0.0, 0.4, 0.95])
@pytest.mark.parametrize("off", [0.2, -0.2])
def test_a_clock_that_is_near_to_what_was_measured_is_left_alone(
    tmp_path: Path, measured: float, off: float
) -> None:
    machine = Machine(tmp_path, off=measured + off)
    machine.write("kubelab-clock-ahead", str(measured))
    assert machine.run("keep") == (0, pytest.approx(measured + off))


def test_without_a_measurement_half_a_second_is_taken_for_granted(tmp_path: Path) -> None:
    assert Machine(tmp_path, "kvm", 60.0).run("keep") == (2, pytest.approx(0.5, abs=0.03))


def test_a_hardware_clock_that_cannot_be_read_for_a_while_is_read_again(tmp_path: Path) -> None:
    machine = Machine(tmp_path, off=-100.0, blind=20)
    machine.write("kubelab-clock-ahead", "0.0")
    assert machine.run("keep") == (2, pytest.approx(0, abs=0.03))


@pytest.mark.parametrize("off", [0.0, 0.4])
def test_a_save_waits_for_a_hardware_clock_that_cannot_be_read(tmp_path: Path, off: float) -> None:
    machine = Machine(tmp_path, off=off, blind=500)
    machine.run("hold")
    assert float(machine.read("kubelab-clock-ahead") or "nan") == pytest.approx(off, abs=0.01)


def test_a_tick_that_was_seen_late_is_not_the_last_word(tmp_path: Path) -> None:
    # The first looks are the loop's, the step's first, and then one that the machine was too busy for.
    machine = Machine(tmp_path, off=-100.0, slow=(0.001, 0.001, 0.001, 1.2))
    machine.write("kubelab-clock-ahead", "0.0")
    times, ahead = machine.run("keep")
    assert times > 2
    assert ahead == pytest.approx(0, abs=0.03)


def test_elsewhere_the_hardware_clock_says_nothing(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "oracle", 3600.0)
    assert machine.run("keep") == (0, 3600.0)
    machine.write("current_clocksource", "tsc")
    machine.run("hold")
    assert machine.read("current_clocksource") == "tsc"


@pytest.mark.parametrize("off", [0.0, 0.8, -0.4])
def test_a_save_measures_how_far_the_clock_is_ahead(tmp_path: Path, off: float) -> None:
    machine = Machine(tmp_path, "kvm", off)
    machine.run("hold")
    assert float(machine.read("kubelab-clock-ahead") or "nan") == pytest.approx(off, abs=0.01)


def test_a_hardware_clock_in_local_time_measures_nothing(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "kvm", 7200.0)
    machine.run("hold")
    assert machine.read("kubelab-clock-ahead") is None


@pytest.mark.parametrize(
    ("virt", "said"), [("qemu", ["kept"]), ("kvm", ["kept"]), ("oracle", []), ("none", [])]
)
def test_a_save_learns_whether_the_node_keeps_its_clock_itself(
    tmp_path: Path, virt: str, said: list[str]
) -> None:
    machine = Machine(tmp_path, virt)
    machine.run("hold")
    assert machine.said == said


@pytest.mark.parametrize(
    ("virt", "available", "source"),
    [
        ("qemu", "tsc hpet acpi_pm ", "hpet"),
        ("qemu", "tsc acpi_pm ", "acpi_pm"),
        ("qemu", "tsc ", "tsc"),
        ("kvm", "kvm-clock tsc hpet acpi_pm ", "tsc"),
    ],
)
def test_only_where_the_counter_cannot_go_back_another_is_read(
    tmp_path: Path, virt: str, available: str, source: str
) -> None:
    machine = Machine(tmp_path, virt)
    machine.write("current_clocksource", "tsc")
    machine.write("available_clocksource", available)
    machine.run("hold")
    assert machine.read("current_clocksource") == source
    assert (machine.read("kubelab-clock-held") is not None) == (source != "tsc")


@pytest.mark.parametrize(
    ("off", "looks", "given_back"), [(0.0, 100, False), (0.0, 1000, True), (-9.0, 400, True)]
)
def test_a_held_clock_is_given_back_after_its_time_or_the_jump(
    tmp_path: Path, off: float, looks: int, given_back: bool
) -> None:
    machine = Machine(tmp_path, off=off, looks=looks)
    machine.write("current_clocksource", "hpet")
    machine.write("kubelab-clock-held", "60")
    machine.run("keep")
    assert machine.read("current_clocksource") == ("tsc" if given_back else "hpet")
    assert (machine.read("kubelab-clock-held") is None) == given_back
