"""What spares a node whose CPU is emulated: fewer switches between its programs.

Each switch to another program makes QEMU forget what it knew of the memory (its TLB and jump cache), and
much of an emulated node's CPU time goes into learning it again. Measured on one busy control plane, three
times with each setting: a quarter to a half fewer flushes, and the API server answered in half the time.
"""

from __future__ import annotations

from provision.host.facts import Acceleration
from provision.node.files import File

SCHEDULER = "kubelab-scheduler"
UNIT = f"/etc/systemd/system/{SCHEDULER}.service"
KUBELET = "/etc/systemd/system/kubelet.service.d/20-kubelab-emulated.conf"
# Go interrupts what runs for 10 ms by a signal; where all takes ten times as long, that is nearly everything.
GO_DEBUG = "asyncpreemptoff=1"
# Nanoseconds a program runs before another may; the kernel's own are 1.4 ms on two CPUs.
_SLICE = 20_000_000

# The kernel has these settings in debugfs alone, which only this unit sees. Without them a node is slower,
# and works: no failure of the unit counts.
_UNIT = f"""\
[Unit]
Description=Switch less often between programs

[Service]
Type=oneshot
RemainAfterExit=yes
PrivateMounts=yes
ExecStart=-/usr/bin/sh -ec 'mount -t debugfs debugfs /sys/kernel/debug; cd /sys/kernel/debug/sched; \\
    echo {_SLICE} >base_slice_ns; echo NO_WAKEUP_PREEMPTION >features'

[Install]
WantedBy=multi-user.target
"""
_KUBELET = f"[Service]\nEnvironment=GODEBUG={GO_DEBUG}\n"


def emulation_files(acceleration: Acceleration) -> dict[str, File]:
    """Return path -> file of a node whose CPU is emulated; of another there are none."""
    return {UNIT: File(_UNIT), KUBELET: File(_KUBELET)} if acceleration.factor > 1 else {}


def apply_script() -> str:
    """Return a script that does at once, and at every boot, what the files say."""
    return f"if [ -e {UNIT} ]; then systemctl --quiet enable --now {SCHEDULER}; fi\n"
