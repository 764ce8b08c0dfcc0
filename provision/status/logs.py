"""What a report of a fault needs, in one archive: no secrets in it, and no more than so much of each part."""

from __future__ import annotations

import io
import json
import os
import platform
import tarfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from provision import __version__
from provision.config.inventory import Node
from provision.engine.parallel import Jobs
from provision.errors import Cancelled, LabError, in_one_line
from provision.host.files import PRIVATE, open_regular
from provision.lab.context import Context
from provision.providers.base import MISSING, RUNNING
from provision.report.faults import traceback_of
from provision.report.redact import Redactor
from provision.status.data import data
from provision.status.gather import gather

# Characters that are kept of each text, its last ones.
KEPT = 2 * 2**20
# Bytes that are read before them, so that a secret is known by how it begins; etcd takes none that is larger.
BEFORE = 2 * 2**20
UNITS = ("containerd", "kubelet")
JOURNAL_LINES = 20_000
JOURNAL_SECONDS = 30.0
# Not in it: the key, the kubeconfig, and what only names them.
STATE_FILES = ("*.json", "run.log*", "ssh_config")


@dataclass
class Evidence:
    """Name -> text without secrets, and name -> why there is none."""

    redactor: Redactor
    texts: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, text: str) -> None:
        """Take the end of a text. Secrets go first: half of one would not be known as such."""
        clean = self.redactor.text(text)
        if len(clean) > KEPT:
            clean = "[what was before is left out]\n" + clean[-KEPT:].partition("\n")[2]
        self.texts[name] = clean

    def add_file(self, name: str, path: Path) -> None:
        try:
            self.add(name, _end_of(path))
        except OSError as error:
            self.missing[name] = f"{path}: {error.strerror}"


def collect(ctx: Context, file: Path, redactor: Redactor) -> Evidence:
    """Return all that can be had of the lab of lab.yaml `file` as it is; nothing is mended before."""
    found, space = Evidence(redactor), ctx.workspace
    found.add(
        "versions.txt", f"kubelab {__version__}\nPython {platform.python_version()}\n{platform.platform()}\n"
    )
    found.add_file("lab.yaml", file.resolve())
    found.add_file("Vagrantfile", space.vagrantfile)
    for path in sorted(path for pattern in STATE_FILES for path in space.state.glob(pattern)):
        found.add_file(path.name, path)
    for path in sorted(space.snapshots.glob("*.json")):
        found.add_file(f"snapshots/{path.name}", path)
    _add_journals(ctx, found)
    # The last question: a fault in it gives up whatever is still to be asked.
    _add_status(ctx, found)
    return found


def archive(found: Evidence, folder: str) -> bytes:
    """Return a tar.gz with the texts in `folder`, and a list of what is missing."""
    listed = "".join(f"{name}: {why}\n" for name, why in sorted(found.missing.items()))
    texts = found.texts | ({"missing.txt": found.redactor.text(listed)} if listed else {})
    stream, now = io.BytesIO(), time.time()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, text in sorted(texts.items()):
            content = text.encode(errors="replace")
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size, entry.mtime, entry.mode = len(content), now, PRIVATE
            tar.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def _add_status(ctx: Context, found: Evidence) -> None:
    try:
        shown = found.redactor.value(data(ctx, gather(ctx)))
    except Cancelled:
        raise
    except Exception as error:
        # A fault of kubelab may be what is to be reported.
        found.add("status-failed.txt", "\n".join(traceback_of(error, found.redactor)))
        return
    found.add("status.json", json.dumps(shown, indent=2, default=str, ensure_ascii=False) + "\n")


def _add_journals(ctx: Context, found: Evidence) -> None:
    """Add the journals of the nodes that answer."""
    states = _states(ctx)
    jobs: dict[str, Callable[[], str]] = {}
    for node in ctx.inventory.nodes:
        state = RUNNING if states is None else states.get(node.name, MISSING)
        if state != RUNNING:
            found.missing[f"nodes/{node.name}"] = f"the machine is {state}"
            continue
        jobs |= {f"nodes/{node.name}/{unit}.log": _journal(ctx, node, unit) for unit in UNITS}
    asked: Jobs[str] = Jobs(jobs, ctx.cancel, stop_on_error=False)
    asked.run()
    asked.raise_fault()
    for name, text in asked.results.items():
        found.add(name, text)
    for name, error in asked.failures.items():
        if isinstance(error, Cancelled):
            raise error
        found.missing[name] = in_one_line(error)


def _states(ctx: Context) -> Mapping[str, str] | None:
    """Return the states of the machines, None where the hypervisor does not tell them."""
    try:
        return ctx.machines.states()
    except Cancelled:
        raise
    except LabError:
        return None


def _journal(ctx: Context, node: Node, unit: str) -> Callable[[], str]:
    """Return what reads the end of a unit's journal on a node."""
    read = f"journalctl --unit={unit} --lines={JOURNAL_LINES} --no-pager --output=short-iso"

    def ask() -> str:
        script, deadline = f"{read} | tail --bytes={KEPT + BEFORE}", ctx.scaled(JOURNAL_SECONDS)
        return ctx.connect(node).run(script, deadline=deadline, what=f"read the journal of {unit}").stdout

    return ask


def _end_of(path: Path) -> str:
    """Return the last part of a file; raises OSError.

    The folder may have come from somebody else: a link could name any file of this user.
    """
    with open_regular(path, os.O_NOFOLLOW) as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - KEPT - BEFORE))
        return file.read(KEPT + BEFORE).decode(errors="replace")
