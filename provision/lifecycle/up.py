"""`up`: runs the steps, then the quick checks, and shows the cluster."""

from __future__ import annotations

import dataclasses
import time
from functools import partial
from pathlib import Path

from provision.cluster.health import condition, internal_ips, pod_state, restarts, role_of, version_of
from provision.engine.steps import Outcome, plan_steps, run_steps
from provision.host.locks import host_lock, wait_for_lock
from provision.lab.anew import made_anew
from provision.lab.context import Context
from provision.lab.opening import with_software
from provision.lab.software import AnotherWay
from provision.providers.base import BOXES_LOCK
from provision.report.tee import TeeReporter
from provision.steps import UP
from provision.verify.examine import prove

# For how long the API server may fail to answer the last question, on fast machines.
SHOW_SECONDS = 30.0
WAITING = "waiting for a `kubelab destroy`, which deletes box images"
NEXT = ("kubelab kubectl -- get nodes -o wide", "kubelab ssh {node}", "kubelab reset")
# What works after any step.
UNFINISHED = ("kubelab up",)


def up(
    ctx: Context,
    report: TeeReporter,
    lab_file: Path,
    from_id: str | None = None,
    until_id: str | None = None,
) -> Outcome:
    """Make the lab match lab.yaml, run the quick checks if anything changed, and show the cluster.

    Raises what the steps raise, and VerifyFailed.
    """
    start = time.monotonic()
    if ctx.acceleration.factor > 1:
        report.pace("emulated")
        report.info("this host has no hardware virtualisation: the machines are emulated, which is slower")
    size = len(ctx.inventory.nodes)
    report.info(f"lab {ctx.config.name}: Kubernetes {ctx.version}, {size} nodes, {ctx.cni.name} CNI")
    # Box images that no machine has yet are not to be deleted by another lab's `destroy`.
    with wait_for_lock(host_lock(BOXES_LOCK), partial(report.info, WAITING), ctx.cancel, shared=True):
        ctx, outcome = _in_turns(ctx, report, from_id, until_id)
    if until_id is None:
        if outcome.changed:
            prove(ctx, lab_file)
        show_cluster(ctx)
    seconds = time.monotonic() - start
    if outcome.changed:
        report.info(f"done in {seconds:.1f} s")
    else:
        report.info(f"nothing to do: the cluster matches lab.yaml ({seconds:.1f} s)")
    durations = {name: round(value, 2) for name, value in report.durations.items()}
    report.result({"changed": outcome.changed, "seconds": round(seconds, 2), "durations": durations})
    commands = NEXT if until_id is None else UNFINISHED
    report.next_commands([text.format(node=ctx.inventory.first.name) for text in commands])
    return outcome


def _in_turns(
    ctx: Context, report: TeeReporter, from_id: str | None, until_id: str | None
) -> tuple[Context, Outcome]:
    """Run the steps once for each worker that is made anew: all others serve its pods meanwhile.

    A run of some of the steps, which may not make it anew to the end, has one worker's turn.
    """
    names = [node.name for node in made_anew(ctx)]
    if not names:
        return _run(ctx, report, from_id, until_id)
    found = Outcome()
    for number, name in enumerate(names if from_id is None and until_id is None else names[:1], 1):
        report.info(f"{name} is made anew, worker {number} of {len(names)}")
        ctx, outcome = _run(dataclasses.replace(ctx, turn=name), report, from_id, until_id)
        found = found.joined(outcome)
    return ctx, found


def _run(
    ctx: Context, report: TeeReporter, from_id: str | None, until_id: str | None
) -> tuple[Context, Outcome]:
    """Run the steps, and again with another bundle where a site fails; return the lab as it was made."""
    while True:
        try:
            return ctx, run_steps(
                UP, ctx, report, clock=ctx.clock, cancel=ctx.cancel, from_id=from_id, until_id=until_id
            )
        except AnotherWay as way:
            report.warn(way.message)
            ctx = with_software(ctx, way.software)
            report.info(f"lab {ctx.config.name}: Kubernetes {ctx.version}, {ctx.cni.name} CNI")


def dry_run(ctx: Context, from_id: str | None = None, until_id: str | None = None) -> None:
    """Print what `up` would do, changing nothing."""
    planned = plan_steps(UP, ctx, from_id=from_id, until_id=until_id)
    rows = [[step.id, "done" if step.done else "to do", step.text] for step in planned]
    ctx.report.table("What `up` would do", ["step", "state", "what"], rows)
    ctx.report.result({"steps": [{"id": step.id, "done": step.done, "plan": step.text} for step in planned]})


def show_cluster(ctx: Context) -> None:
    """Show the tables of nodes and pods."""
    objects = ctx.patience(SHOW_SECONDS).insist(
        lambda _: ctx.kubectl.items("nodes,pods", "--all-namespaces"), "the list of nodes and pods"
    )
    nodes = [
        [
            item["metadata"]["name"],
            "Ready" if condition(item, "Ready") == "True" else "NotReady",
            role_of(item),
            version_of(item),
            ", ".join(internal_ips(item)),
        ]
        for item in objects
        if item["kind"] == "Node"
    ]
    pods = [
        [
            item["metadata"]["namespace"],
            item["metadata"]["name"],
            pod_state(item) or item["status"]["phase"],
            str(restarts(item)),
            item["spec"].get("nodeName", ""),
        ]
        for item in objects
        if item["kind"] == "Pod"
    ]
    ctx.report.table("Nodes", ["name", "status", "role", "version", "address"], nodes)
    ctx.report.table("Pods", ["namespace", "name", "status", "restarts", "node"], pods)
