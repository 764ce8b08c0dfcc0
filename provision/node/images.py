"""The images that a node has to keep: named, pinned, and put back where one is gone.

The kubelet removes images that no container uses when the disk fills up, and a lab without a network would
not get them back. It leaves alone those with the label PINNED, which containerd tells it of.
"""

from __future__ import annotations

import gzip
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provision.node.runner import Runner

PINNED = "io.cri-containerd.pinned"
# Those that Kubernetes sees are in a namespace of containerd's own.
CTR = "ctr --namespace=k8s.io images"
LIST_PINNED = f"""{CTR} ls --quiet 'labels."{PINNED}"==pinned'"""
FOLDER = "/var/tmp/kubelab-image"
# One piece has to arrive within the time that a connection is given.
PIECE = 16 * 2**20


def probe_script(refs: Sequence[str]) -> str:
    """Return a script that fails unless all of `refs` are there and pinned."""
    if not refs:
        return ":\n"
    return f"""
pinned=$({LIST_PINNED})
if printf '%s\\n' {shlex.join(refs)} | grep -vxF -e "$pinned" >/dev/null; then exit 1; fi
"""


def pin_script(refs: Sequence[str]) -> str:
    """Return a script that pins those of `refs` that are there, and prints the others, one a line."""
    if not refs:
        return ":\n"
    return f"""
there=$({CTR} ls --quiet)
pinned=$({LIST_PINNED})
for ref in {shlex.join(refs)}; do
    if printf '%s\\n' "$pinned" | grep -qxF -e "$ref"; then continue; fi
    if printf '%s\\n' "$there" | grep -qxF -e "$ref"; then
        {CTR} label "$ref" {PINNED}=pinned >/dev/null
    else
        echo "$ref"
    fi
done
"""


def bring(runner: Runner, ref: str, archive: Path, *, deadline: float) -> None:
    """Give the node the image `ref` out of its docker archive, whole and pinned.

    It goes in pieces, packed: an image has more than a hundred MiB. `deadline` (seconds) is for unpacking it.
    """
    runner.run(["rm", "-rf", "--", FOLDER])
    try:
        with archive.open("rb") as file:
            for number, piece in enumerate(iter(lambda: file.read(PIECE), b"")):
                runner.put(gzip.compress(piece, 1, mtime=0), f"{FOLDER}/{number:04}")
        script = f"""
cat {FOLDER}/* | gzip -dc | {CTR} import --local - >/dev/null
{CTR} label {shlex.quote(ref)} {PINNED}=pinned >/dev/null
"""
        runner.run(script, deadline=deadline, what=f"import {ref}")
    finally:
        runner.run(["rm", "-rf", "--", FOLDER], check=False)
