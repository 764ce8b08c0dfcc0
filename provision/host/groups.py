"""Groups that the user got after this session began: taken on at once, without logging in again.

A process has the groups it was started with. `sg` starts a command with one more of those that the group
database says the user is in, so kubelab runs itself again below it.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

LIBVIRT, KVM = "libvirt", "kvm"
# Set for the second run: the number of the pipe by which the first one passes signals on.
MARK = "KUBELAB_NEW_GROUP"
_DONE = "done"
_SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})


def is_late(group: str) -> bool:
    """Return whether this user came into `group` after this process's session began, and `sg` can help."""
    if os.geteuid() == 0 or shutil.which("sg") is None:
        return False
    try:
        entry, user = grp.getgrnam(group), pwd.getpwuid(os.getuid())
    except KeyError:
        return False
    return user.pw_name in entry.gr_mem and entry.gr_gid not in (os.getegid(), *os.getgroups())


def must_run_again() -> bool:
    """Return whether a command has to begin anew to speak to libvirt; once is enough."""
    return MARK not in os.environ and is_late(LIBVIRT)


def with_group(group: str, argv: Sequence[str]) -> list[str]:
    """Return the command that runs `argv` in `group`."""
    return ["sg", group, "-c", f"exec {shlex.join(argv)}"]


def run_again() -> int:
    """Run this very command again in libvirt's group, and return its exit code.

    It shares the terminal, so Ctrl-C reaches it by itself; a signal sent to this process alone is passed on.
    It is ended when this process is killed.
    """
    read, write = os.pipe()
    argv = with_group(LIBVIRT, [sys.executable, *sys.orig_argv[1:]])
    process = subprocess.Popen(argv, env={**os.environ, MARK: str(read)}, pass_fds=[read])
    os.close(read)
    watched = _SIGNALS | {signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    while process.poll() is None:
        seen = signal.sigwaitinfo(watched)
        # The terminal's own signals come from the kernel, and go to the whole group.
        if seen.si_signo in _SIGNALS and seen.si_code <= 0:
            os.write(write, bytes([seen.si_signo]))
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


def join() -> None:
    """In the second run: listen for the signals that the first one passes on, and for its end."""
    number = os.environ.get(MARK, "")
    if not number.isdigit():
        return
    # Not for the programs that are started from here.
    os.environ[MARK] = _DONE
    # `sg` makes the group the one that new files get: its other members are not to write to them.
    os.umask(os.umask(0o022) | 0o022)
    with contextlib.suppress(OSError):
        os.set_inheritable(int(number), False)
        threading.Thread(target=_listen, args=(int(number),), daemon=True).start()


def _listen(pipe: int) -> None:
    """Send this process what comes through `pipe`; its end says that the first run was killed."""
    while True:
        numbers = os.read(pipe, 1)
        os.kill(os.getpid(), numbers[0] if numbers else signal.SIGTERM)
        if not numbers:
            return
