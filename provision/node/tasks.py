"""The scripts and files of lab.yaml on a node: which it has, by the digest of each.

A file for each digest is in FOLDER; it is part of the disk, so a snapshot that is restored brings back what
was so when it was saved.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Iterable
from pathlib import Path

from provision.config.inventory import Node
from provision.config.schema import ClusterConfig
from provision.config.tasks import Task
from provision.errors import ConfigError
from provision.host.files import open_regular

FOLDER = "/var/lib/kubelab/provision"
# Beside that, as /run may be mounted without the right to execute.
SCRIPT = "/var/lib/kubelab/provision-script"
LARGEST_MIB = 1


def read(task: Task, key: str = "provision") -> bytes:
    """Return what a script or a file holds; raises ConfigError with lab.yaml's `key`."""
    path = Path(task.source)
    try:
        with open_regular(path) as file:
            content = file.read(LARGEST_MIB * 2**20 + 1)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", key=key) from None
    if len(content) > LARGEST_MIB * 2**20:
        raise ConfigError(f"{path} is too large; allowed: {LARGEST_MIB} MiB at most", key=key)
    return content


def check(config: ClusterConfig) -> None:
    """Raise ConfigError unless every script and file that lab.yaml names can be read."""
    pools = {"controlPlanes": config.control_planes.provision, "workers": config.workers.provision}
    own = {f"nodes.{name}": node.provision for name, node in config.nodes.items()}
    for pool, found in (pools | own).items():
        for place, task in enumerate(found):
            read(task, f"{pool}.provision.{place}")


def digest(task: Task) -> str:
    """Return what stands for a script or a file as it is now."""
    content = hashlib.sha256(read(task)).hexdigest()
    about = ["script", content] if task.is_script else ["file", task.to, task.mode, content]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()


def digests(node: Node) -> tuple[str, ...]:
    """Return the digests of all that lab.yaml gives a node, sorted."""
    return tuple(sorted({digest(task) for task in node.tasks}))


def probe_script(wanted: Iterable[str]) -> str:
    """Return a script that fails unless the node has all of these digests, and no others."""
    listed = "\n".join(wanted)
    return f"test \"$(ls {FOLDER} 2>/dev/null)\" = '{listed}'\n"


def list_script(wanted: Iterable[str]) -> str:
    """Return a script that forgets all other digests, and prints those of `wanted` that the node has."""
    return f"""
mkdir -p {FOLDER}
for file in {FOLDER}/*; do
    case "${{file##*/}}" in {"|".join([*wanted, "-"])}) ;; *) rm -f "$file";; esac
done
ls {FOLDER}
"""


def note_script(done: str) -> str:
    """Return a script that notes a digest as done."""
    return f"echo done > {FOLDER}/{done}\n"


def run_script(lab: str, node: Node) -> str:
    """Return a script that runs SCRIPT, in whose environment the node finds out which one it is."""
    names = {"KUBELAB_LAB": lab, "KUBELAB_NODE": node.name, "KUBELAB_ROLE": node.role}
    words = " ".join(f"{name}={shlex.quote(value)}" for name, value in names.items())
    return f"{words} {SCRIPT}\nrm -f {SCRIPT}\n"
