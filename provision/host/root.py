"""What needs root: the one place that goes through sudo, tells it before, and ends what it began."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from provision.errors import LabError, MissingTool, ToolFailed
from provision.host.process import KILL_GRACE, run_tool

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

# What root makes here is read by the user, and parts of it by daemons of the guest.
UMASK = 0o022
NO_SUDO = "let this user's sudo ask for no password, or run this command as root"
# The exit code of `env` where there is no such program.
NOT_FOUND = 127
NOTHING: Mapping[str, str] = MappingProxyType({})
_KILL = 'kill -s "$1" -- "-$2"'
_KILL_DEADLINE = 10.0
# Runs a command as root, with all that it starts in one process group. Root's processes are out of a user's
# reach, and the kernel drops the wish to die with one's parent at a setuid program such as sudo: so this
# shell, the user's own, is what notices when kubelab is gone. The polite signal is for the command, whose
# end the shell awaits.
_GUARD = f"""
sudo=$1
shift
trap : TERM
trap 'setsid $sudo sh -c "kill -s TERM -- -$$; sleep {KILL_GRACE:.0f}; kill -s KILL -- -$$" &' USR1
exec 3<&0
$sudo "$@" <&3 3<&- &
pid=$!
exec 3<&-
while :; do
    wait "$pid"
    code=$?
    # A signal to this shell ends the waiting too.
    [ $code -gt 128 ] && [ -e "/proc/$pid" ] || exit $code
done
"""
_REFUSED = (
    "a password is required",
    "is not in the sudoers",
    "is not allowed to",
    "a terminal is required",
    "must have a tty",
)


def run_as_root(
    argv: Sequence[str],
    *,
    say: Callable[[str], None],
    deadline: float,
    what: str = "",
    stdin: str = "",
    env: Mapping[str, str] | None = None,
    variables: Mapping[str, str] = NOTHING,
    on_line: Callable[[str], None] | None = None,
    cancel: threading.Event | None = None,
    hint: str = "",
    is_root: bool | None = None,
) -> str:
    """Run a program as root, through `sudo -n` for others, and return its standard output.

    `say` is told before what is going to be run, in the words of `what` or as the command itself. `env` is
    what sudo itself gets, which hands hardly any of it on; `variables` are set for the command.
    The rest is as for `run_tool`: at the deadline (seconds), on `cancel`, on Ctrl-C and when kubelab is
    killed the program is ended. Its umask is 022. Raises MissingTool, ToolFailed, Cancelled, and LabError
    where sudo refuses.
    """
    say(f"as root: {what or shlex.join(argv)}")
    root = os.geteuid() == 0 if is_root is None else is_root
    _must_exist(argv[0] if root else "sudo", (env or {}).get("PATH"))
    settings = ["env", *(f"{name}={value}" for name, value in variables.items())] if variables else []
    try:
        return run_tool(
            ["sh", "-c", _GUARD, "sh", "" if root else "sudo -n", *settings, *argv],
            deadline=deadline,
            stdin=stdin,
            env=env,
            on_line=on_line,
            cancel=cancel,
            umask=UMASK,
            kill=os.killpg if root else _kill_group,
            orphaned=signal.SIGUSR1,
        )
    except ToolFailed as error:
        if root:
            raise ToolFailed(argv, error.code, error.output, hint=hint) from None
        raise _through_sudo(argv, error, hint) from None


def _must_exist(program: str, path: str | None) -> None:
    if shutil.which(program, path=path) is None:
        if program == "sudo":
            raise MissingTool("root is needed, and there is no sudo", hint="run this command as root")
        raise MissingTool(f"the program `{program}` is not installed", hint="kubelab doctor --fix")


def _through_sudo(argv: Sequence[str], error: ToolFailed, hint: str) -> LabError:
    """Return the error of a command, without the shell around it; sudo's own are told apart."""
    said = [line for line in error.output.splitlines() if line.startswith("sudo: ")]
    if any(sign in line for sign in _REFUSED for line in said):
        return LabError(f"root is needed, and sudo refuses: {said[-1].removeprefix('sudo: ')}", hint=NO_SUDO)
    lost = error.code == NOT_FOUND and "No such file or directory" in error.output
    if f"sudo: {argv[0]}: command not found" in said or lost:
        return MissingTool(f"the program `{argv[0]}` is not installed", hint="kubelab doctor --fix")
    return ToolFailed(["sudo", *argv], error.code, error.output, hint=hint)


def _kill_group(group: int, number: signal.Signals) -> None:
    """Signal a process group that is partly root's; what cannot be reached is left alone."""
    argv = ["sudo", "-n", "sh", "-c", _KILL, "sh", number.name.removeprefix("SIG"), str(group)]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        # Ctrl-C again must not end this one.
        subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_KILL_DEADLINE,
            check=False,
            start_new_session=True,
        )
    os.killpg(group, number)
