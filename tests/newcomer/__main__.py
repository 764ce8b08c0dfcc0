"""What somebody new does on a fresh Debian: `python -m tests.newcomer [--suite SUITE] [--doctor-only]`.

A Debian made by mmdebstrap is booted with systemd in systemd-nspawn. Its user, who has a sudo that asks
nothing, clones what this repository has committed and types the commands of the README, in one login: up to
the green cluster, and to its end. Needs root, and the Debian packages systemd-container, mmdebstrap,
iproute2 and iptables.

KUBELAB_NEWCOMER_CACHE=FOLDER gives the user a copy of that cache of kubelab's, for quick trials; the real
run begins with none. Everything is removed at the end; with --keep the fresh root stays, to be looked at.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import NoReturn

from provision.errors import LabError
from tests.newcomer import root as fresh
from tests.newcomer.command import Failed, Session, run
from tests.newcomer.log import Log
from tests.newcomer.machine import booted

REPOSITORY = Path(__file__).parent.parent.parent
HOUR = 3600.0
TOOLS = ("mmdebstrap", "systemd-nspawn", "nsenter", "ip", "iptables")


def main() -> None:
    """Run it; exit code 1 when something is not as the README says, with the last lines."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--suite", default="bookworm", help="the Debian to begin with (default: %(default)s)")
    parser.add_argument("--doctor-only", action="store_true", help="end after `kubelab doctor --fix`")
    parser.add_argument("--keep", action="store_true", help="leave the fresh root behind")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("this boots a machine: run it as root")
    if missing := [name for name in TOOLS if shutil.which(name) is None]:
        sys.exit(f"not installed: {', '.join(missing)}; see the packages that --help names")
    signal.signal(signal.SIGTERM, _interrupt)
    log = Log(REPOSITORY / "build" / "newcomer" / f"{arguments.suite}.log")
    folder = Path(tempfile.mkdtemp(prefix="kubelab-newcomer-", dir="/var/tmp"))
    # Users of the fresh machine, such as apt's own, have to come through.
    folder.chmod(0o755)
    try:
        newcomer(folder / "root", arguments.suite, log, doctor_only=arguments.doctor_only)
    except (Failed, LabError) as error:
        last = "\n".join(log.last)
        details = getattr(error, "details", "")
        sys.exit(f"\n{last}\n\nFAILED: {error}\n{details}\nthe whole log: {log.file}")
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        if not arguments.keep:
            run(["rm", "-rf", "--one-file-system", str(folder)], log, deadline=600)
    log("all as the README says")


def newcomer(root: Path, suite: str, log: Log, *, doctor_only: bool) -> None:
    """Make the machine, log in once, and do what the README says."""
    began = time.monotonic()
    fresh.make(root, suite, log)
    address = fresh.give_clone(root, REPOSITORY, log)
    if cache := os.environ.get("KUBELAB_NEWCOMER_CACHE"):
        fresh.give_cache(root, Path(cache), log)
    log(f"a fresh {suite} after {time.monotonic() - began:.0f} s")
    with booted(root, log) as machine, machine.login(fresh.USER) as user:
        user.run("id; umask; cat /etc/os-release | head -1; nproc; free -m | head -2", 60)
        user.run(f"git clone --quiet {address} kubelab && cd kubelab", 120)
        if doctor_only:
            user.run("make .venv/.installed && .venv/bin/kubelab doctor --fix", HOUR)
            user.run(".venv/bin/kubelab doctor", 300)
            return
        readme(user)
        _nothing_left(user)
        for number, code in (("TERM", 130), ("KILL", 137)):
            _ended_in_roots_work(user, number, code)


def readme(user: Session) -> None:
    """Type the README's commands."""
    user.run("make lab", 2 * HOUR)
    user.run(". .venv/bin/activate", 10)
    nodes = user.run("kubelab kubectl -- get nodes -o wide", 300).splitlines()[1:]
    ready = [line for line in nodes if line.split()[1] == "Ready"]
    if len(ready) != len(nodes) or len(nodes) < 2:
        raise Failed("not every node is Ready")
    user.run("kubelab ssh lab-cp1 -- uptime", 120)
    if "nothing to do" not in user.run("kubelab up", 600):
        raise Failed("a second `kubelab up` found something to do")
    user.run("kubelab status", 300)
    user.run("kubelab verify --quick", 600)
    user.run("kubelab reset", 900)
    user.run("kubelab destroy", 600)


def _nothing_left(user: Session) -> None:
    """Raise Failed where `kubelab destroy` left a machine, a network, a disk or a process."""
    virsh = "sudo virsh --quiet --connect qemu:///system"
    left = user.run(f"{virsh} list --all --name; {virsh} net-list --all --name; {virsh} vol-list default", 60)
    # The network that libvirt itself comes with is not the lab's.
    if set(left.split()) - {"default"}:
        raise Failed("`kubelab destroy` left something")
    user.run("pgrep -l qemu-system", 60, expected=1)
    user.run("find . -user root -not -path './.venv/*' | head; find ~/.cache -not -readable | head", 60)


def _ended_in_roots_work(user: Session, number: str, code: int) -> None:
    """Raise Failed where what sudo began for a kubelab that is ended runs on."""
    user.run(
        "export KUBELAB_CACHE=$HOME/other; kubelab bundle create & pid=$!; "
        "until pgrep -x mmdebstrap; do sleep 0.1; done; "
        f"kill -s {number} $pid; wait $pid",
        300,
        expected=code,
    )
    user.run("for i in $(seq 100); do pgrep -x mmdebstrap || break; sleep 0.2; done", 60)
    user.run("pgrep -x mmdebstrap", 10, expected=1)
    user.run("rm -rf ~/other 2>/dev/null || sudo rm -rf ~/other; unset KUBELAB_CACHE", 60)


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
