"""kubeadm run on a node, as a unit of its systemd."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from provision.kubeadm.documents import SOCKET
from provision.kubeadm.runtime import wait_for_runtime
from provision.node.files import File, unpack_script
from provision.node.runner import Runner

CONFIG = "/etc/kubernetes/kubelab-init.yaml"
TOKEN = "/run/kubelab/token"
UNIT = "kubelab-kubeadm"
LOG = "/var/log/kubelab/kubeadm.log"
CODE = "/run/kubelab/kubeadm.code"
KUBELET_CONF = "/etc/kubernetes/kubelet.conf"
# More than kubeadm prints, unless something goes very wrong.
KEPT_LINES = 500


def unit_script(argv: list[str]) -> str:
    """Return a script that runs a kubeadm command as a systemd unit of the node, and waits for it.

    The unit lives on when the connection or kubelab itself dies: the next `up` finds it at work, and
    waits for it instead of starting over.
    """
    inner = f"umask 077; {shlex.join(argv)} >{LOG} 2>&1; echo $? >{CODE}"
    return f"""
mkdir -p -m 700 /var/log/kubelab /run/kubelab
if ! systemctl --quiet is-active {UNIT}; then
    rm -f {CODE}
    systemctl reset-failed {UNIT} 2>/dev/null || true
    systemd-run --quiet --collect --unit={UNIT} --setenv=HOME=/root --setenv=GOGC=400 \\
        sh -c {shlex.quote(inner)}
fi
{wait_for_unit()}
"""


def wait_for_unit() -> str:
    """Return a script that waits until the unit ended, and ends with its exit code and what kubeadm said."""
    return f"""
turns=0
until [ -s {CODE} ]; do
    turns=$((turns + 1))
    if [ $((turns % 20)) -eq 0 ] && ! systemctl --quiet is-active {UNIT} && [ ! -s {CODE} ]; then
        echo "the unit {UNIT} ended without a result" >&2
        exit 1
    fi
    sleep 0.5
done
code=$(cat {CODE})
[ "$code" -eq 0 ] || exec >&2
tail -n {KEPT_LINES} {LOG} 2>/dev/null || true
exit "$code"
"""


def run_kubeadm(
    runner: Runner, argv: list[str], *, files: Mapping[str, File], deadline: float, reset: bool
) -> str:
    """Run kubeadm on a node and return what it said; raises as `Runner.run` does.

    With `reset` what an unfinished run left is removed before. kubeadm gives the container runtime a few
    seconds to answer, so that is asked before, too.
    """
    steps = [wait_for_runtime()]
    if reset:
        steps.append(
            f"if ! systemctl --quiet is-active {UNIT}; then "
            f"kubeadm reset --force --cri-socket {SOCKET} >/dev/null 2>&1 || true; fi"
        )
    steps.append(unpack_script(files))
    steps.append(unit_script(argv))
    return runner.run("\n".join(steps), deadline=deadline, what=" ".join(argv[:2])).stdout
