"""Scripts for one node: few and fat, since a round trip into an emulated guest costs a second."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import shlex
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass

from provision.kubeadm.documents import SOCKET
from provision.node.runner import Runner

UNIT = "kubelab-kubeadm"
LOG = "/var/log/kubelab/kubeadm.log"
CODE = "/run/kubelab/kubeadm.code"
KUBELET_CONF = "/etc/kubernetes/kubelet.conf"
PRIVATE = 0o600
PUBLIC = 0o644


@dataclass(frozen=True)
class File:
    """A file for a node."""

    content: str
    mode: int = PUBLIC


def unpack_script(files: Mapping[str, File]) -> str:
    """Return a script that writes `files` (absolute path -> File), all through one tar."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, file in sorted(files.items()):
            entry = tarfile.TarInfo(path.lstrip("/"))
            payload = file.content.encode()
            entry.size, entry.mode = len(payload), file.mode
            tar.addfile(entry, io.BytesIO(payload))
    text = base64.encodebytes(gzip.compress(buffer.getvalue(), mtime=0)).decode()
    return f"base64 -d <<'FILES' | tar -xzf - -C / --no-same-owner --unlink-first\n{text}FILES\n"


def same_files_script(files: Mapping[str, File]) -> str:
    """Return a script that fails unless all of `files` are on the node as they should be."""
    sums = "".join(
        f"{hashlib.sha256(file.content.encode()).hexdigest()}  {path}\n"
        for path, file in sorted(files.items())
    )
    return f"sha256sum --check --status - <<'SUMS'\n{sums}SUMS\n"


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
    """Return a script that waits until the unit ended, and ends with its exit code and last lines."""
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
if [ "$code" -ne 0 ]; then tail -n 40 {LOG} >&2; fi
exit "$code"
"""


def run_kubeadm(
    runner: Runner, argv: list[str], *, files: Mapping[str, File], deadline: float, reset: bool
) -> None:
    """Run kubeadm on a node, after removing what an unfinished run left when `reset` is true."""
    steps = []
    if reset:
        steps.append(
            f"if ! systemctl --quiet is-active {UNIT}; then "
            f"kubeadm reset --force --cri-socket {SOCKET} >/dev/null 2>&1 || true; fi"
        )
    steps.append(unpack_script(files))
    steps.append(unit_script(argv))
    runner.run("\n".join(steps), deadline=deadline, what=" ".join(argv[:2]))
