"""A running lab in memory that can be saved, restored and broken."""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from provision.errors import Result
from provision.node.clock import SHOW
from provision.providers.base import RUNNING
from provision.snapshots import journal, preconditions
from provision.snapshots.manifests import Manifest, SavedNode
from provision.snapshots.preparation import KEPT
from tests.fakes.lab import Lab, make_lab
from tests.fakes.node.clock import NodeClock
from tests.fakes.node.credentials import certificate, token
from tests.fakes.providers.ids import id_of
from tests.fakes.providers.snapshots import FakeVm

NODES = ("lab-cp1", "lab-w1", "lab-w2")
YEAR = 365
DAY = 86400.0


class Killed(BaseException):
    """What `kill -9` is to the code it hits: nothing there gets to run after it."""


class Fault:
    """Raises `error` once, at call `number` of a backend, before or after that call did its work."""

    def __init__(self, number: int, error: BaseException, *, late: bool) -> None:
        self.left, self.error, self.late = number, error, late

    def plant(self, lab: Lab) -> None:
        lab.backend.before = lambda call: self._count(early=True)
        lab.backend.after = lambda call: self._count(early=False)

    def _count(self, *, early: bool) -> None:
        if early == self.late:
            return
        self.left -= 1
        if self.left == -1:
            raise self.error


def manifest(name: str, parent: str | None = None, **changes: Any) -> Manifest:
    """Return a manifest of two nodes; `changes` are its other fields."""
    fields: dict[str, Any] = {
        "lab": "lab",
        "name": name,
        "note": "",
        "time": dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC),
        "parent": parent,
        "live": True,
        "verified": True,
        "config_digest": "0" * 64,
        "kubernetes": "1.36.3",
        "box": "kubelab-1.36.3-abc",
        "bundle": "1" * 64,
        "nodes": (
            SavedNode(name="lab-cp1", id=id_of("1"), size=5),
            SavedNode(name="lab-w1", id=id_of("2"), size=7),
        ),
        "pause_spread": 0.009,
        "stand_still": 4.5,
    }
    return Manifest(**fields | changes)


def running_lab(root: Path, **keys: Any) -> Lab:
    """Return a healthy lab of three nodes whose machines run; `keys` are those of lab.yaml."""
    lab = make_lab(root, **keys)
    for node in lab.ctx.inventory.nodes:
        lab.machines.make(node.name)
        lab.backend.vms[id_of(node.machine)] = FakeVm()
        answer = prepared(id_of(node.machine).upper())
        lab.runners[node.name].script += [("product_uuid", answer), (SHOW, NodeClock().answer)]
    healthy(lab)
    return lab


@functools.cache
def prepared(machine: str, days: float | None = YEAR, token_days: float | None = YEAR) -> Result:
    """Return what a node answers that prepares to be saved, and keeps its clock itself.

    Its certificate and its token end so many days after `NOW`; None is a node without one.
    """
    lines = ["== machine", machine, "== certificates"]
    if days is not None:
        lines += ["-- /etc/kubernetes/pki/ca.crt", certificate(10 * YEAR).strip()]
        lines += ["-- /var/lib/kubelet/pki/kubelet-client-current.pem", certificate(days).strip()]
    lines.append("== tokens")
    if token_days is not None:
        lines += [token("uid-1", 10 * YEAR * DAY), token("uid-2", token_days * DAY)]
    return Result("\n".join([*lines, "== clock", KEPT]) + "\n", "", 0)


def healthy(lab: Lab, *, ready: bool = True) -> None:
    """Let the API server tell of all nodes, Ready or not."""
    items = [
        {
            "kind": "Node",
            "metadata": {"name": node.name},
            "status": {
                "conditions": [{"type": "Ready", "status": str(ready)}],
                "addresses": [{"type": "InternalIP", "address": node.ip}],
            },
        }
        for node in lab.ctx.inventory.nodes
    ]
    lab.kubectl.answer("get nodes,*", json.dumps({"items": items}))


def next_command(lab: Lab) -> Lab:
    """Return the lab as the next kubelab command sees it: nothing is left of the last but its files."""
    lab.backend.before = lab.backend.after = lambda call: None
    return dataclasses.replace(lab, ctx=dataclasses.replace(lab.ctx, cancel=threading.Event()))


def set_disks(lab: Lab, content: str) -> None:
    for vm in lab.backend.vms.values():
        vm.disk = content


def disks(lab: Lab) -> set[str]:
    return {vm.disk for vm in lab.backend.vms.values()}


def whole(lab: Lab) -> dict[str, Manifest]:
    """Fail unless every machine runs, no snapshot is half, and the manifests are true; return these."""
    assert {vm.state for vm in lab.backend.vms.values()} == {RUNNING}
    assert journal.read(lab.ctx.workspace) is None
    known, broken = preconditions.manifests_of(lab.ctx).all()
    assert not broken
    for machine in lab.backend.vms.values():
        assert set(machine.held) == set(known)
    for name in known:
        preconditions.restorable(lab.ctx, lab.backend, name)
    return known


def calls_of(lab: Lab, action: Callable[[Lab], object]) -> int:
    """Return how many calls of the backend an action makes when all goes well."""
    before = len(lab.backend.calls)
    action(lab)
    return len(lab.backend.calls) - before
