"""The box's clock keeper, run by bash with stubs for what it looks at and what it does."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from provision.resources import data

SCRIPT = "templates/box/overlay/usr/lib/kubelab/keep-clock.sh"


@pytest.mark.parametrize(
    ("virt", "ahead", "expected"),
    [
        ("qemu", 0, []),
        ("qemu", -1, []),
        ("kvm", 3600, ["-s"]),
        ("qemu", -3600, ["-s"]),
        ("oracle", 3600, []),
    ],
)
def test_the_clock_follows_the_hardware_clock_alone(
    tmp_path: Path, virt: str, ahead: int, expected: list[str]
) -> None:
    rtc = tmp_path / "since_epoch"
    second = int(time.time()) + ahead
    rtc.write_text(f"{second}\n")
    programs = {
        "systemd-detect-virt": f"echo {virt}",
        "date": f'echo "$@" > {tmp_path}/set',
        # The next second begins during the first pause; the keeper ends when the clock is gone.
        "sleep": f"case $1 in 0.05) echo {second + 1} > {rtc};; *) rm {rtc};; esac",
    }
    for name, body in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{body}\n")
        (tmp_path / name).chmod(0o755)
    script = data(SCRIPT).read_text().replace("/sys/class/rtc/rtc0/since_epoch", str(rtc))
    bash = shutil.which("bash")
    assert bash
    subprocess.run(
        [bash],
        input=script,
        env={"PATH": str(tmp_path)},
        text=True,
        capture_output=True,
        check=False,
        timeout=20,
    )
    said = (tmp_path / "set").read_text().split() if (tmp_path / "set").exists() else []
    assert said[:1] == expected
    assert said[1:] == ([f"@{second + 1}"] if expected else [])
