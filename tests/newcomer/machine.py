"""The fresh Debian, booted: systemd is its first process, its network is its own, nothing is left."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import threading
import time
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path

from provision.errors import LabError
from provision.host.facts import gather
from tests.newcomer.command import Failed, Session, run
from tests.newcomer.log import Log

# A part, for each run its own, of the range for benchmarks: neither a lab's nor, likely, this host's.
RANGE = list(IPv4Network("198.18.213.0/24").subnets(new_prefix=30))[os.getpid() % 64]
HERE, THERE = map(str, RANGE.hosts())
BOOT_DEADLINE = 180.0
END_DEADLINE = 30.0
# Debian 13's systemd wants to be told where the host has control groups of version 1 only.
KERNEL_LINE = ("SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1",)
CGROUPS = Path("/sys/fs/cgroup")


def make_network(name: str, log: Log, undo: contextlib.ExitStack) -> None:
    """Make a network namespace that reaches the outside through this host's address."""

    def ip(*words: str) -> None:
        run(["ip", *words], log)

    def quietly(*words: str) -> None:
        with contextlib.suppress(LabError):
            run(list(words), log)

    undo.callback(quietly, "ip", "netns", "delete", name)
    ip("netns", "add", name)
    undo.callback(quietly, "ip", "link", "delete", f"{name}-h")
    ip("link", "add", f"{name}-h", "type", "veth", "peer", "name", "host0", "netns", name)
    ip("address", "add", f"{HERE}/{RANGE.prefixlen}", "dev", f"{name}-h")
    if size := gather().mtu:
        # The machine is to send no larger packets than this host can pass on.
        ip("link", "set", f"{name}-h", "mtu", str(size))
        ip("-netns", name, "link", "set", "host0", "mtu", str(size))
    ip("link", "set", f"{name}-h", "up")
    for words in (
        ("address", "add", f"{THERE}/{RANGE.prefixlen}", "dev", "host0"),
        ("link", "set", "host0", "up"),
        ("link", "set", "lo", "up"),
        ("route", "add", "default", "via", HERE),
    ):
        ip("-netns", name, *words)
    forwarding = Path("/proc/sys/net/ipv4/ip_forward")
    before = forwarding.read_text()
    undo.callback(forwarding.write_text, before)
    forwarding.write_text("1")
    for table, rule in (
        ("nat", ("POSTROUTING", "-s", str(RANGE), "!", "-d", str(RANGE), "-j", "MASQUERADE")),
        ("filter", ("FORWARD", "-s", str(RANGE), "-j", "ACCEPT")),
        ("filter", ("FORWARD", "-d", str(RANGE), "-j", "ACCEPT")),
    ):
        undo.callback(quietly, "iptables", "-w", "-t", table, "-D", *rule)
        run(["iptables", "-w", "-t", table, "-I", *rule], log)


def make_groups(name: str, undo: contextlib.ExitStack) -> list[Path]:
    """Make the control groups in which the machine's systemd makes its own, so that none of those is left.

    Where the host has version 1, systemd keeps its order of processes in two hierarchies of their own.
    """
    made = []
    for hierarchy in (CGROUPS, CGROUPS / "systemd", CGROUPS / "unified"):
        if (hierarchy / "cgroup.procs").exists():
            group = hierarchy / name
            undo.callback(_remove_group, group)
            group.mkdir(exist_ok=True)
            made.append(group)
    return made


def _remove_group(group: Path) -> None:
    for folder in sorted(group.rglob("*/"), key=lambda path: -len(path.parts)):
        with contextlib.suppress(OSError):
            folder.rmdir()
    with contextlib.suppress(OSError):
        group.rmdir()


class Machine:
    """A booted one."""

    def __init__(self, init: int, log: Log) -> None:
        self.init = init
        self.log = log

    def inside(self, *argv: str) -> list[str]:
        """Return the command that runs `argv` in the machine as root."""
        return ["nsenter", "--target", str(self.init), "--all", "--", *argv]

    def login(self, user: str) -> Session:
        """Return a login of `user`, as over a network."""
        return Session(self.inside("su", "--login", user, "--command", "exec bash"), self.log)


@contextlib.contextmanager
def booted(root: Path, log: Log) -> Iterator[Machine]:
    """Boot the Debian in the folder `root`; what was begun for it is ended, whatever happens."""
    name = f"kl{os.getpid()}"
    with contextlib.ExitStack() as undo:
        make_network(name, log, undo)
        groups = make_groups(name, undo)
        argv = [
            *("systemd-nspawn", "--register=no", "--keep-unit", "--quiet", "--console=pipe"),
            f"--machine={name}",
            *("--capability=all", "--bind=/dev/net", "--resolv-conf=off", "--timezone=off"),
            *(f"--network-namespace-path=/run/netns/{name}", f"--directory={root}", "--boot", *KERNEL_LINE),
        ]
        # It joins its control groups before it becomes systemd-nspawn.
        joins = "".join(f"echo $$ > {shlex.quote(str(group / 'cgroup.procs'))}\n" for group in groups)
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", "sh", "-euc", f'{joins}exec "$@"', "sh", *argv],
            env={**os.environ, "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        undo.callback(_end, process)
        threading.Thread(target=_console, args=(process, log), daemon=True).start()
        machine = Machine(_init_of(process), log)
        _until_up(machine)
        yield machine


def _console(process: subprocess.Popen[str], log: Log) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip():
            log(f"console: {line.rstrip()}")


def _init_of(process: subprocess.Popen[str]) -> int:
    """Return the process id, on this host, of the machine's first process, once it runs."""
    end = time.monotonic() + BOOT_DEADLINE
    while time.monotonic() < end and process.poll() is None:
        for child in _children(process.pid):
            status = Path(f"/proc/{child}/status").read_text()
            if "\nNSpid:" in status and status.partition("\nNSpid:")[2].splitlines()[0].split()[-1] == "1":
                return child
        time.sleep(0.1)
    raise Failed("systemd-nspawn did not start the machine")


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _until_up(machine: Machine) -> None:
    """Wait until systemd has started everything, and let the machine use its control groups."""
    end = time.monotonic() + BOOT_DEADLINE
    while True:
        with contextlib.suppress(LabError):
            state = run(machine.inside("systemctl", "is-system-running"), machine.log).strip()
            break
        state = ""
        if time.monotonic() > end:
            raise Failed("the machine did not come up")
        time.sleep(1)
    # The mounts alone, with `bind`: the host's own groups keep the hierarchies busy.
    remount = (
        "set -e; for each in /sys/fs/cgroup/*/; do "
        'if mountpoint -q "$each"; then mount -o remount,bind,rw "$each"; fi; done'
    )
    run(machine.inside("sh", "-c", remount), machine.log)
    machine.log(f"the machine is {state}")


def _end(process: subprocess.Popen[str]) -> None:
    """Shut the machine down; what does not end by itself ends with its first process."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        process.wait(END_DEADLINE)
    except subprocess.TimeoutExpired:
        for child in _children(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, 9)
        process.kill()
        process.wait()
