"""Checks of libvirt: its daemons, and who may speak to it."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from provision.doctor.apt import numbers
from provision.doctor.findings import Answer, Command, bad, good, shell

if TYPE_CHECKING:
    from provision.doctor.tools import Host

URI = "qemu:///system"
VIRSH = ("virsh", "-c", URI)
LIBVIRT_MINIMUM = (9,)

_BUS = "/run/dbus/system_bus_socket"
_LOG = "/run/libvirt/virtlogd-sock"
_LIBVIRT = "/run/libvirt/libvirt-sock"
# A daemon must not keep this command's pipes, or the command would be waited for as long as it lives.
QUIET = ">/dev/null 2>&1 </dev/null"

_UNDER_SYSTEMD = {
    "dbus": Command(("systemctl", "start", "dbus.socket")),
    "virtlogd": Command(("systemctl", "enable", "--now", "virtlogd.socket")),
    "libvirtd": Command(("systemctl", "enable", "--now", "libvirtd"), deadline=120),
}


def starters(host: Host) -> dict[str, Command]:
    """Return the command that starts each daemon, under systemd or without it."""
    if host.facts.has_systemd:
        return _UNDER_SYSTEMD
    bus = shlex.quote(str(host.path(_BUS).parent))
    # A bus that was killed leaves its pid file behind, and the next one refuses to start.
    return {
        "dbus": shell(f"mkdir -p {bus} && rm -f {bus}/pid && dbus-daemon --system --fork {QUIET}"),
        "virtlogd": shell(f"virtlogd -d {QUIET}"),
        "libvirtd": shell(f"libvirtd -d {QUIET}", deadline=120),
    }


def probe_group(host: Host) -> Answer:
    """The user may speak to libvirt; kubelab takes a group on in sessions that are older than it."""
    if host.facts.is_root:
        return good("root")
    words = host.tools.run(["id", "-nG"], deadline=10).split()
    if "libvirt" in words:
        return good(f"{host.user} is in the group libvirt")
    members = host.tools.run(["id", "-nG", host.user], deadline=10).split()
    if "libvirt" not in members:
        fix = Command(("usermod", "-aG", "libvirt", host.user))
        return bad(f"{host.user} is not in the group libvirt", fix)
    if host.tools.which("sg") is None:
        return bad("this session is older than your place in the group libvirt: log in again")
    return good(f"{host.user} is in the group libvirt from the next login on; kubelab uses it at once")


def probe_daemons(host: Host) -> Answer:
    """The message bus, virtlogd and libvirtd answer."""
    sockets = {"dbus": _BUS, "virtlogd": _LOG, "libvirtd": _LIBVIRT}
    silent = [name for name, path in sockets.items() if not host.tools.answers(host.path(path))]
    if silent:
        start = starters(host)
        return bad(f"no answer from: {', '.join(silent)}", *(start[name] for name in silent))
    text = host.tools.run([*VIRSH, "version", "--daemon"], deadline=90)
    match = re.search(r"daemon: (\S+)", text)
    version = match[1] if match else ""
    if numbers(version) < LIBVIRT_MINIMUM:
        return bad(f"libvirt {version} is too old; 9.0 or newer is needed")
    return good(f"libvirt {version}")
