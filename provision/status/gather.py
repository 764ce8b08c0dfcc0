"""Collects the status of a lab: asks the hypervisor, then the cluster and its nodes in parallel."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

from provision.cluster.api_health import PATIENCE, failing_checks
from provision.cluster.health import Object
from provision.cluster.kubectl import Kubectl
from provision.engine.parallel import Jobs
from provision.errors import Cancelled, LabError, ToolFailed, in_one_line
from provision.lab import ports
from provision.lab.context import Context
from provision.lab.halted import halted
from provision.lab.readiness import KINDS
from provision.node.certificates import Expiry, expiries
from provision.providers.base import MISSING, RUNNING
from provision.snapshots.manifests import Manifest
from provision.snapshots.preconditions import current_of, manifests_of
from provision.status.model import Status
from provision.status.problems import problems_of
from provision.verify import record

ANSWER_SECONDS = 5.0
POLICIES = "networkpolicies.networking.k8s.io"


def gather(ctx: Context) -> Status:
    """Ask everything that can be asked; the result says what did not answer. Raises Cancelled."""
    now = dt.datetime.now(dt.UTC)
    unknown: dict[str, str] = {}
    # Asked first, so that nothing waits for a machine that is powered off.
    states = _states(ctx, unknown)
    blocked = _blocked(ctx, states)
    if blocked:
        unknown |= dict.fromkeys(("cluster", "readyz", "certificates"), blocked)
    questions = {} if blocked else _cluster_questions(ctx, states)
    questions["snapshot"] = lambda: _current(ctx, states)
    jobs: Jobs[Any] = Jobs(questions, ctx.cancel, stop_on_error=False)
    jobs.run()
    jobs.raise_fault()
    for part, failure in jobs.failures.items():
        if isinstance(failure, Cancelled):
            raise failure
        unknown[part] = in_one_line(failure)
    found = Status(
        time=now,
        states=states,
        objects=jobs.results.get("cluster"),
        failing=jobs.results.get("readyz"),
        expiries=jobs.results.get("certificates"),
        snapshot=jobs.results.get("snapshot"),
        verify=record.read(ctx.workspace),
        relayed=ports.relayed(ctx),
        unknown=unknown,
    )
    texts = problems_of(found, ctx.inventory, network=ctx.config.cni.name != "none", asked=not blocked)
    wanted = [] if blocked else [port.text for port in ctx.config.ports]
    closed = [f"nothing listens for the port {text}" for text in wanted if text not in found.relayed]
    return dataclasses.replace(found, problems=[*texts, *closed])


def gather_nodes(ctx: Context) -> Status:
    """Ask for the machines and the Nodes alone; the result says what did not answer. Raises Cancelled."""
    return _gather_some(ctx, "nodes")


def gather_workloads(ctx: Context) -> Status:
    """Ask for the machines, Deployments and DaemonSets alone, as `gather_nodes` does."""
    return _gather_some(ctx, "deployments,daemonsets", "--all-namespaces")


def _gather_some(ctx: Context, *what: str) -> Status:
    unknown: dict[str, str] = {}
    states, objects = _states(ctx, unknown), None
    try:
        if blocked := _blocked(ctx, states):
            raise LabError(blocked)
        objects = _objects(_kubectl(ctx), *what)
    except Cancelled:
        raise
    except LabError as error:
        unknown["cluster"] = in_one_line(error)
    return Status(time=dt.datetime.now(dt.UTC), states=states, objects=objects, unknown=unknown)


def _states(ctx: Context, unknown: dict[str, str]) -> Mapping[str, str] | None:
    """Return the states of the machines; where the hypervisor does not answer, None, and note why."""
    try:
        return ctx.machines.states()
    except Cancelled:
        raise
    except LabError as error:
        unknown["machines"] = f"the hypervisor does not answer: {in_one_line(error)}"
        return None


def _kubectl(ctx: Context) -> Kubectl:
    return dataclasses.replace(ctx.kubectl, deadline=ctx.scaled(ANSWER_SECONDS))


def _blocked(ctx: Context, states: Mapping[str, str] | None) -> str:
    """Return why the cluster cannot be asked, or an empty string."""
    first = ctx.inventory.first.name
    if states is not None and not states:
        return "the lab has no machines"
    if not ctx.workspace.kubeconfig.exists():
        return "the lab has no cluster yet"
    if states is not None and states.get(first) != RUNNING:
        if text := halted(states, [node.name for node in ctx.inventory.nodes]):
            return text
        return f"machine {first} is {states.get(first, MISSING)}"
    return ""


def _cluster_questions(ctx: Context, states: Mapping[str, str] | None) -> dict[str, Callable[[], Any]]:
    def certificates() -> list[Expiry]:
        known = states or {}
        running = [node for node in ctx.inventory.control_planes if known.get(node.name, RUNNING) == RUNNING]
        deadline = ctx.scaled(ANSWER_SECONDS)
        found = [each for node in running for each in expiries(node, ctx.connect(node), deadline)]
        return sorted(found, key=lambda each: each.end)

    return {
        "cluster": lambda: _objects(_kubectl(ctx), f"{KINDS},{POLICIES}", "--all-namespaces"),
        "readyz": lambda: failing_checks(
            _kubectl(ctx), "/readyz", patience=ctx.scaled(PATIENCE), clock=ctx.clock
        ),
        "certificates": certificates,
    }


def _objects(kubectl: Kubectl, *what: str) -> list[Object]:
    try:
        return kubectl.items(*what)
    except ToolFailed as error:
        raise LabError(f"the API server does not answer: {in_one_line(error)}") from error


def _current(ctx: Context, states: Mapping[str, str] | None) -> Manifest | None:
    """Return the current snapshot of the lab; raises LabError when the hypervisor does not answer."""
    if states is None:
        raise LabError("the hypervisor does not answer")
    ids = ctx.machines.ids()
    held = ctx.snapshots(ctx.cancel).list([ids[name] for name in states])
    known, _ = manifests_of(ctx).all()
    name = current_of(known, [each.current for each in held.values()])
    return known[name] if name is not None else None
