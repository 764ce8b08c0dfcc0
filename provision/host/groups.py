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

GROUPS = ("libvirt", "kvm")
# Set for the second run: the number of the pipe by which the first one passes signals on.
MARK = "KUBELAB_NEW_GROUPS"
_DONE = "done"
_SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})


def is_member(group: str) -> bool:
    """Return whether the group database names this user as a member of `group`."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name in grp.getgrnam(group).gr_mem
    except KeyError:
        return False


def has(group: str) -> bool:
    """Return whether this very process is in `group`."""
    try:
        return grp.getgrnam(group).gr_gid in (os.getegid(), *os.getgroups())
    except KeyError:
        return False


def lacking() -> tuple[str, ...]:
    """Return the groups that this process should be in, and is not yet; none where nothing can be done."""
    if os.geteuid() == 0 or MARK in os.environ or shutil.which("sg") is None:
        return ()
    return tuple(group for group in GROUPS if is_member(group) and not has(group))


def command(groups: Sequence[str], argv: Sequence[str]) -> list[str]:
    """Return the command that runs `argv` with these groups beside those it has."""
    # Each `sg` makes its group the one that new files get; the last one puts the user's own back.
    own = grp.getgrgid(os.getgid()).gr_name
    words = list(argv)
    for group in (own, *groups):
        words = ["sg", group, "-c", f"exec {shlex.join(words)}"]
    return words


def run_again(groups: Sequence[str]) -> int:
    """Run this very command again with `groups`, and return its exit code.

    It shares the terminal, so Ctrl-C reaches it by itself; a signal sent to this process alone is passed on.
    It is ended when this process is killed.
    """
    read, write = os.pipe()
    argv = command(groups, [sys.executable, *sys.orig_argv[1:]])
    environment = {**os.environ, MARK: str(read)}
    process = subprocess.Popen(argv, env=environment, pass_fds=[read])
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
