"""The real kubelab in a process of its own, with what a fault needs that no stub program can do.

Forked from a server that has imported it already, which takes a tenth of the time of a new Python. What is
replaced: the way to the nodes' port 22, pauses (which take no time), how much disk is free, and what the
doctor thinks of this host. A test may set the clock, and let the system refuse files.
"""

from __future__ import annotations

import datetime as dt
import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import provision.commands.destroy
import provision.commands.reset
import provision.commands.snapshot
import provision.commands.up
import provision.lifecycle.destroy
import provision.lifecycle.up
import provision.providers.libvirt.provider
import provision.providers.libvirt.snapshots
import provision.providers.vagrant_client
import provision.snapshots.commands
import provision.snapshots.listing
from provision.cli import main
from provision.engine.waiting import RealClock
from provision.errors import Cancelled
from provision.host.facts import Acceleration
from tests.fakes.stubs.api_kubectl import guests

# What a pause takes in truth, and how much passes when a trap lets it be late.
PAUSE, LATE = 0.02, 3600.0
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


@dataclass(frozen=True)
class Refusal:
    """Files that the system refuses: those with `part` in their path, for `action`, with this error.

    `action` is "write" (to open for writing), "read", "rename", "remove" or "sync"; `number` says which of
    them, 0 all.
    """

    action: str
    part: str
    error: str
    number: int = 0


@dataclass(frozen=True)
class Order:
    """One command: its words, its folder, and the folder of the stub programs.

    `screen` is where its output goes: "file", "closed", "full", "unread" or "head N", whose reader goes away
    after so many lines. `wall` is by how many seconds the host's clock is ahead. `ports` maps a node to its
    address and the port of its server here.
    """

    words: Sequence[str]
    folder: Path
    bin: Path
    environment: Mapping[str, str]
    ports: Mapping[str, tuple[str, int]]
    screen: str = "file"
    wall: float = 0.0
    refusal: Refusal | None = None
    free: int = 2**40


class _Usage(NamedTuple):
    total: int
    used: int
    free: int


def run(order: Order) -> None:
    """Be this command, as if it had been started in a shell."""
    os.chdir(order.folder)
    os.environ.clear()
    os.environ.update(order.environment)
    (order.bin / "kubelab.pid").write_text(str(os.getpid()))
    _open_streams(order)
    _Clock(order.wall).install()
    _replace(order)
    if order.refusal is not None:
        _Disk(order.refusal, order.bin / "trap.fired").install()
    sys.argv = ["kubelab", *order.words]
    main()


def _open_streams(order: Order) -> None:
    out = os.open(order.bin / "out", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    err = os.open(order.bin / "err", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(out, 1)
    os.dup2(err, 2)
    kind, _, count = order.screen.partition(" ")
    if kind == "full":
        os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
    elif kind in ("unread", "head"):
        read, write = os.pipe()
        if kind == "head":
            subprocess.Popen(["head", "-n", count], stdin=read, stdout=out)
        os.close(read)
        os.dup2(write, 1)
        os.close(write)
    for number in (out, err):
        os.close(number)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    if kind == "closed":
        os.close(1)
        sys.stdout = None  # type: ignore[assignment]


@dataclass
class _Clock:
    """A monotonic clock that pauses set forward instead of waiting, and a host's clock that is set."""

    wall: float
    late: float = 0.0
    own: threading.local = field(default_factory=threading.local)

    def install(self) -> None:
        monotonic, now = time.monotonic, time.time
        # Each thread waits for itself: what one sleeps must not use up another's deadline.
        time.monotonic = lambda: monotonic() + self.late + getattr(self.own, "slept", 0.0)
        time.time = lambda: now() + self.wall
        signal.signal(signal.SIGUSR2, self._be_late)
        clock = self

        def sleep(self: RealClock, seconds: float) -> None:
            if self.cancel.wait(min(seconds, PAUSE)):
                raise Cancelled("given up")
            clock.own.slept = getattr(clock.own, "slept", 0.0) + seconds

        RealClock.sleep = sleep  # type: ignore[method-assign]
        moment = provision.snapshots.actions._now

        ahead = dt.timedelta(seconds=self.wall)
        provision.snapshots.actions._now = lambda: moment() + ahead

    def _be_late(self, number: int, frame: object) -> None:
        self.late += LATE


def _replace(order: Order) -> None:
    provision.lab.opening.acceleration = lambda facts: Acceleration("kvm", 1.0)  # type: ignore[attr-defined]
    provision.steps.host.essentials = lambda host, checks: []  # type: ignore[attr-defined]
    provision.snapshots.actions.prefaultable_mib = lambda: 0
    provision.host.groups.must_run_again = lambda: False
    shutil.disk_usage = lambda path: _Usage(2**41, 0, order.free)  # type: ignore[assignment]
    honest = socket.create_connection

    def dial(address: tuple[str, int], *arguments: Any, **options: Any) -> socket.socket:
        name = next((name for name, (ip, _) in order.ports.items() if ip == address[0]), None)
        if name is None:
            return honest(address, *arguments, **options)
        if name not in guests(str(order.bin)):
            raise TimeoutError(errno.ETIMEDOUT, "timed out")
        return honest(("127.0.0.1", order.ports[name][1]), *arguments, **options)

    socket.create_connection = dial  # type: ignore[assignment]


@dataclass
class _Disk:
    """A system that refuses files, and notes in the file `fired` that it did."""

    refusal: Refusal
    fired: Path
    seen: int = 0

    def install(self) -> None:
        self.note = os.open(self.fired, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        sync: Callable[[int], None] = os.fsync

        def fsync(number: int) -> None:
            self._ask("sync", str(Path(f"/proc/self/fd/{number}").readlink()))
            sync(number)

        os.fsync = fsync
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            self._ask("write" if arguments[2] & WRITES else "read", arguments[0])
        elif event in ("os.rename", "os.mkdir"):
            self._ask("rename" if event == "os.rename" else "write", arguments[0])
        elif event == "os.remove":
            self._ask("remove", arguments[0])

    def _ask(self, action: str, path: object) -> None:
        wanted = self.refusal
        if action != wanted.action or not isinstance(path, str | os.PathLike) or wanted.part not in str(path):
            return
        self.seen += 1
        if wanted.number in (0, self.seen):
            number = getattr(errno, wanted.error)
            os.write(self.note, f"{path}\n".encode())
            raise OSError(number, os.strerror(number), str(path))
