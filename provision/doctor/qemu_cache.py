"""Check of libvirt's memory of QEMU, which never lasts where /dev/kvm exists but cannot be used.

libvirt keeps what it learnt of each emulator in a file, and distrusts a file that says "KVM works"
when QEMU's own user may not open /dev/kvm. It then asks again at every `define`, finds KVM again
(it asks with more rights than a VM has), and the answer is distrusted again: up to a minute each
time. An answer made while /dev/kvm was out of sight is believed from then on.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shlex
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from provision.doctor.findings import Answer, Command, good, shell
from provision.doctor.libvirt import QUIET, VIRSH, starters
from provision.errors import LabError

if TYPE_CHECKING:
    from pathlib import Path

    from provision.doctor.tools import Host

ANSWERS = "/var/cache/libvirt/qemu/capabilities"
# Only these can use KVM on an x86-64 host; each with libvirt's name of what it emulates.
EMULATORS = {"/usr/bin/qemu-system-x86_64": "x86_64", "/usr/bin/qemu-system-i386": "i686"}
DAEMON = "/usr/sbin/libvirtd"
SETTINGS = "/etc/libvirt/qemu.conf"
# Who runs VMs where the settings do not say: as Debian and Ubuntu call it, and others.
QEMU_USERS = ("libvirt-qemu", "qemu")
# With a remembered answer a definition takes a fraction of a second; without it, far more than this.
PROOF_DEADLINE = 10.0

_USER = re.compile(r'^\s*user\s*=\s*"\+?([^"]+)"', re.MULTILINE)
_PID = "/run/libvirtd.pid"
_PRIVATE_PID = "/run/kubelab-probe.pid"
_PROOF = (
    "<domain type='qemu'><name>kubelab-doctor</name><uuid>6b756265-6c61-4264-8f63-746f72000001</uuid>"
    "<memory unit='MiB'>64</memory><os><type arch='x86_64'>hvm</type></os></domain>\n"
)


@dataclass(frozen=True)
class Remembered:
    """What libvirt remembers of one emulator; times are whole seconds since the epoch."""

    emulator: str
    qemu_changed: int
    libvirt_changed: int
    kvm: bool


def remembered(text: str) -> list[Remembered]:
    """Return what libvirt's cache files, one after another in `text`, say."""
    found = []
    for part in text.split("<qemuCaps>")[1:]:
        values = dict(re.findall(r"<(emulator|qemuctime|selfctime)>([^<]*)</", part))
        if values.keys() == {"emulator", "qemuctime", "selfctime"}:
            kvm = re.search(r"<flag name=.kvm.\s*/>", part) is not None
            times = int(values["qemuctime"]), int(values["selfctime"])
            found.append(Remembered(values["emulator"], *times, kvm))
    return found


def probe(host: Host) -> Answer:
    """Every installed emulator has an answer which libvirt goes on believing."""
    emulators = [name for name in EMULATORS if host.path(name).exists()]
    if not emulators:
        return Answer("info", "no QEMU to be asked about")
    if not (host.emulated and host.facts.kvm_present):
        return good("libvirt can rely on what it remembers")
    user = qemu_user(host)
    if user is None:
        return good("who runs VMs on this host is not known, so what libvirt remembers is left alone")
    if _open_to(user, host.path("/dev/kvm")):
        return good("libvirt can rely on what it remembers")
    try:
        script = f"cat {shlex.quote(str(host.path(ANSWERS)))}/*.xml"
        text = host.tools.run(["sh", "-c", script], deadline=30, root=True)
    except LabError:
        text = ""
    lasting = {answer.emulator for answer in remembered(text) if _lasts(answer, host)}
    forgotten = [name for name in emulators if name not in lasting]
    if not forgotten:
        return good("libvirt remembers QEMU without KVM")
    return Answer(
        "warn",
        "/dev/kvm exists but cannot be used, so libvirt asks QEMU again at every VM, up to a minute each; "
        "mending this restarts libvirtd (VMs run on)",
        _fixes(host, emulators),
    )


def _lasts(answer: Remembered, host: Host) -> bool:
    emulator, daemon = host.path(answer.emulator), host.path(DAEMON)
    return (
        not answer.kvm
        and emulator.exists()
        and int(emulator.stat().st_ctime) == answer.qemu_changed
        # libvirt keeps the time of its newest loaded part, which may be newer than the daemon.
        and (not daemon.exists() or int(daemon.stat().st_ctime) <= answer.libvirt_changed)
    )


def qemu_user(host: Host) -> pwd.struct_passwd | None:
    """Return the user that runs VMs, by libvirt's settings or by its usual name; None where neither tells."""
    configured = _USER.search(_settings(host))
    for name in [configured[1]] if configured else QEMU_USERS:
        with contextlib.suppress(KeyError):
            return pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
    return None


def _settings(host: Host) -> str:
    file = host.path(SETTINGS)
    try:
        return file.read_text(errors="replace")
    except PermissionError:
        # Debian lets only root read it.
        with contextlib.suppress(LabError):
            return host.tools.run(["cat", str(file)], deadline=30, root=True)
    except OSError:
        pass
    return ""


def _open_to(user: pwd.struct_passwd, device: Path) -> bool:
    """Return whether `user` may read and write `device`; if it runs VMs, no answer is distrusted then."""
    try:
        status = device.stat()
    except OSError:
        return False
    if user.pw_uid == 0:
        return True
    if status.st_uid == user.pw_uid:
        wanted = stat.S_IRUSR | stat.S_IWUSR
    elif status.st_gid in os.getgrouplist(user.pw_name, user.pw_gid):
        wanted = stat.S_IRGRP | stat.S_IWGRP
    else:
        wanted = stat.S_IROTH | stat.S_IWOTH
    return status.st_mode & wanted == wanted


def _fixes(host: Host, emulators: list[str]) -> tuple[Command, ...]:
    """Return what makes libvirt learn QEMU anew with /dev/kvm out of its sight, and proves it.

    libvirtd is off meanwhile, so whatever ends the script starts it again, and Ctrl-C waits for its end.
    """
    virsh = shlex.join(VIRSH)
    ask = " && ".join(
        f"{virsh} domcapabilities --virttype qemu --emulatorbin {name} --arch {EMULATORS[name]} >/dev/null"
        for name in emulators
    )
    device, private = shlex.quote(str(host.path("/dev/kvm"))), host.path(_PRIVATE_PID)
    # A mount namespace of its own: nobody else loses sight of /dev/kvm.
    learn = (
        f"trap {shlex.quote(_stop(private))} EXIT; trap 'exit 1' TERM INT; "
        f'empty=$(mktemp) && chmod 0 "$empty" && mount --bind "$empty" {device} && rm -f "$empty" && '
        f"libvirtd -d -p {shlex.quote(str(private))} {QUIET} && {ask}"
    )
    start = shlex.join(starters(host)["libvirtd"].argv)
    script = (
        f"trap {shlex.quote(start)} EXIT; trap 'exit 1' TERM INT; "
        f"{_stop_all(host)}; unshare -m sh -c {shlex.quote(learn)}"
    )
    prove = f"{virsh} define /dev/stdin && {virsh} undefine kubelab-doctor"
    return (
        shell(script, deadline=420, whole=True),
        Command(("sh", "-c", prove), deadline=PROOF_DEADLINE, stdin=_PROOF),
    )


def _stop_all(host: Host) -> str:
    if host.facts.has_systemd:
        units = ("libvirtd.socket", "libvirtd-ro.socket", "libvirtd-admin.socket", "libvirtd.service")
        return shlex.join(("systemctl", "stop", *units))
    return _stop(host.path(_PID))


def _stop(pid_file: Path) -> str:
    """Return the script that ends the libvirtd named by `pid_file` and waits until it is gone."""
    return (
        f"pid=$(cat {shlex.quote(str(pid_file))} 2>/dev/null); "
        'if [ "$(cat /proc/$pid/comm 2>/dev/null)" = libvirtd ]; then '
        'kill "$pid"; while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done; fi'
    )
