"""Waits until a cluster is back after its machines were started.

The API server tells at first what was so before they stopped. So a node counts by a heartbeat newer than
that, and a pod of a node that booted by when its containers began.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Collection, Sequence

from provision.cluster.health import Object, is_own, own_problems, problems
from provision.cluster.leaders import free_dead_leases
from provision.errors import ToolFailed, WaitTimeout
from provision.lab import start_record
from provision.lab.context import Context
from provision.lab.readiness import KINDS, READY_SECONDS
from provision.lab.start_record import StartRecord
from provision.lifecycle.wake import wake
from provision.providers.base import STOPPED
from provision.repair.heartbeats import HeartbeatStep
from provision.repair.survey import Survey

POLL_SECONDS = 1.0
SHOWN = 3
# For as long as pods of the user's own are waited for, once everything else is there.
OWN_SECONDS = 20.0


class ComebackStep:
    """Every node has a fresh heartbeat, and everything that the cluster lives by is ready.

    Pods of the user's own may be broken for reasons of their own: they are waited for, and told of.
    """

    id = "ready"
    title = "Nodes and pods Ready"

    def __init__(self, record: StartRecord) -> None:
        self.record = record
        self._heartbeats = _heartbeats(record)
        self._gave_up = False
        self._freed = False

    def is_done(self, ctx: Context) -> bool:
        vital, own = self._missing(ctx)
        return not vital and (self._gave_up or not own)

    def apply(self, ctx: Context) -> None:
        clock, patience = ctx.clock, ctx.scaled(READY_SECONDS + ctx.cni.settle_seconds)
        end = clock.now() + patience
        own_end: float | None = None
        while any(missing := self._missing(ctx)):
            vital, own = missing
            ctx.report.progress("; ".join([*vital, *own][:SHOWN]), self.id)
            if vital and clock.now() > end:
                listed = "\n".join([*vital, *own])
                raise WaitTimeout(
                    f"the cluster is not back after {patience:.0f} s:\n{listed}", hint="kubelab status"
                )
            if vital:
                own_end = None
            elif own_end is None:
                own_end = clock.now() + ctx.scaled(OWN_SECONDS)
            elif clock.now() > own_end:
                self._give_up(ctx, own)
                return
            self._start_what_went_off(ctx)
            self._free_leases(ctx)
            clock.sleep(POLL_SECONDS)

    def plan(self, ctx: Context) -> str:
        return "wait until every node and pod is Ready again"

    def _missing(self, ctx: Context) -> tuple[list[str], list[str]]:
        """Return what the cluster still lacks, and what pods of the user's own do."""
        try:
            objects = ctx.kubectl.items(KINDS, "--all-namespaces")
            fresh = self._heartbeats.is_done(ctx)
        except ToolFailed as error:
            return [f"the API server does not answer: {error.details or error}"], []
        network = ctx.cni.name != "none"
        vital = problems(objects, ctx.inventory, network=network)
        vital += outdated([item for item in objects if not is_own(item)], self.record)
        silent = [] if fresh else ["not every node and leader has a heartbeat since the start"]
        own = own_problems(objects) if network else []
        return vital + silent, own + outdated([item for item in objects if is_own(item)], self.record)

    def _start_what_went_off(self, ctx: Context) -> None:
        """Start a machine that an interrupted `stop` was still shutting down when all were started."""
        states = ctx.machines.states()
        off = [name for name, state in states.items() if state == STOPPED]
        if off:
            self.record = with_booted(self.record, off)
            start_record.write(ctx.workspace, self.record)
            wake(ctx)
            ctx.disconnect()
            self._heartbeats = _heartbeats(self.record)

    def _free_leases(self, ctx: Context) -> None:
        """Let new leaders begin once the API server answers, if the old ones went with their machine."""
        if self._freed or ctx.inventory.first.name not in self.record.booted:
            return
        with contextlib.suppress(ToolFailed):
            free_dead_leases(ctx.kubectl, self.record.time.timestamp())
            self._freed = True

    def _give_up(self, ctx: Context, own: list[str]) -> None:
        self._gave_up = True
        for text in own:
            ctx.report.warn(f"not waited for any longer: {text}")


def _heartbeats(record: StartRecord) -> HeartbeatStep:
    """Return what looks for heartbeats newer than now."""
    return HeartbeatStep(Survey(record.time.timestamp()))


def with_booted(record: StartRecord, nodes: Collection[str]) -> StartRecord:
    """Return the record with more nodes that come up without their memory."""
    return record.model_copy(update={"booted": tuple(sorted({*record.booted, *nodes}))})


def outdated(objects: Sequence[Object], record: StartRecord) -> list[str]:
    """Return the pods of nodes that booted which are still told of as they were before."""
    return [
        f"pod {item['metadata']['namespace']}/{item['metadata']['name']} has not been started yet"
        for item in objects
        if item["kind"] == "Pod"
        and item.get("spec", {}).get("nodeName") in record.booted
        and any(began < record.time for began in _begins(item))
    ]


def _begins(pod: Object) -> list[dt.datetime]:
    """Return when the running containers of a pod began."""
    containers = pod.get("status", {}).get("containerStatuses") or []
    texts = [entry.get("state", {}).get("running", {}).get("startedAt") for entry in containers]
    return [dt.datetime.fromisoformat(text) for text in texts if text]
