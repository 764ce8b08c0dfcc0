"""What goes wrong in a stub program, once: `trap.json` in the stubs' folder says at which call, and how.

A trap has a `program`, a `part` of the call, the `number` of the call with it that is meant (from 1), `when`
("before" or "after" the work) and `deeds`: a signal's name goes to the kubelab that `kubelab.pid` names, the
others are the program's own. `trap.fired` is there once it happened.
"""

# Imported by programs that are started some thousand times: no pathlib.

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

SIGNALS = {name: getattr(signal, f"SIG{name}") for name in ("INT", "TERM", "HUP", "KILL")}
# Makes an hour pass for kubelab: a program that hangs sends it, so that its deadline is over soon.
LATE = "late"
SIGNALS[LATE] = signal.SIGUSR2
STEP = 0.2
GARBAGE = b"\x1b[2J\x1b]0;title\x07\xff\xfe <not> {what] was\x00asked\n\xe2\x80\xae for\n"


class Sprung(Exception):
    """The program's own part: what it does instead of its work, or after it."""


def pending(folder: str, program: str, call: str, when: str) -> list[str]:
    """Return the deeds that are due at this call; none for most."""
    try:
        with open(os.path.join(folder, "trap.json")) as file:
            trap = json.load(file)
    except FileNotFoundError:
        return []
    if (trap["program"], trap["when"]) != (program, when) or trap["part"] not in call:
        return []
    with open(os.path.join(folder, "trap.count"), "a") as count:
        fcntl.flock(count, fcntl.LOCK_EX)
        count.write(".")
        count.flush()
        if count.tell() != trap["number"] and trap["number"]:
            return []
        with open(os.path.join(folder, "trap.fired"), "a") as fired:
            fired.write(f"{program} {call}\n")
    deeds: list[str] = trap["deeds"]
    return deeds


def kubelab(folder: str) -> int:
    """Return the process id of the kubelab that runs now."""
    with open(os.path.join(folder, "kubelab.pid")) as file:
        return int(file.read())


def tell(pid: int, deed: str) -> None:
    """Send kubelab the signal that a deed names."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, SIGNALS[deed])


def spring(folder: str, program: str, call: str, when: str) -> None:
    """Do what is due at this call of a program; raises Sprung for what its output is."""
    for deed in pending(folder, program, call, when):
        if deed in SIGNALS:
            tell(kubelab(folder), deed)
        elif deed in ("hang", "hang past the deadline"):
            # The next command has nothing to do with it.
            pid = kubelab(folder)
            while True:
                time.sleep(STEP)
                # Again and again: the first may come before kubelab looked at its clock.
                if deed != "hang":
                    tell(pid, LATE)
        elif deed == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            raise Sprung(deed)


def show(sprung: Sprung) -> int:
    """Say what a program says that fails or babbles; return its exit code."""
    if str(sprung) == "garbage":
        sys.stdout.flush()
        sys.stdout.buffer.write(GARBAGE)
        sys.stdout.flush()
        return 0
    print("error: it was made to fail here", file=sys.stderr)
    return 1


def run(folder: str, program: str, call: str, work: Callable[[], int]) -> int:
    """Do one piece of work between its two traps; return the exit code."""
    try:
        spring(folder, program, call, "before")
        code = work()
        spring(folder, program, call, "after")
    except Sprung as sprung:
        return show(sprung)
    return code


def arm_virsh(virsh: ModuleType, folder: str) -> None:
    """Put traps around every command of the stub of virsh, outside of its lock."""
    honest: Callable[[list[list[str]]], int] = virsh.obey

    def obey(commands: list[list[str]]) -> int:
        code = 0
        for command in commands:
            code = run(folder, "virsh", " ".join(command), lambda command=command: honest([command]))
        return code

    virsh.obey = obey  # type: ignore[attr-defined]
