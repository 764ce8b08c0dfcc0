"""Shows the status of a lab on one screen, once or until Ctrl-C."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import click

from provision.cluster.health import pod_problem
from provision.lab.context import Context
from provision.lab.halted import START
from provision.providers.base import MISSING, PAUSED, RUNNING
from provision.report.text import age
from provision.snapshots.journal import report_unfinished
from provision.status.addons import in_words
from provision.status.data import data
from provision.status.gather import gather
from provision.status.model import Status

WATCH_SECONDS = 5.0
# Rows of a table: more would not fit the screen; --json has all.
SHOWN = 10
DAYS_TO_WARN = 30
NODE_COLUMNS = ("name", "role", "address", "machine", "node", "version", "age")
POD_COLUMNS = ("node", "state", "restarts", "age")

Data = Mapping[str, Any]


def show(ctx: Context, found: Status) -> None:
    """Print the status, the problems and the next command."""
    report, known, now = ctx.report, data(ctx, found), found.time
    report_unfinished(ctx.workspace, report)
    report.table("Nodes", NODE_COLUMNS, node_rows(known["nodes"], now, asked=bool(known["pods"])))
    if known["control_plane"]:
        rows = [[pod["component"], pod["node"], *_pod_cells(pod, now)] for pod in known["control_plane"]]
        report.table("Control plane", ["component", *POD_COLUMNS], rows)
    if known["pods"] and known["pods"]["not_ready"]:
        waiting = known["pods"]["not_ready"]
        rows = [[pod["namespace"], pod["name"], pod["node"], *_pod_cells(pod, now)] for pod in waiting]
        report.table("Pods not Ready", ["namespace", "name", *POD_COLUMNS], rows[:SHOWN])
        if len(rows) > SHOWN:
            report.info(f"and {len(rows) - SHOWN} more: kubelab kubectl -- get pods -A")
    report.table(f"Lab {known['lab']}", ["what", "state"], _lab_rows(known, now))
    shown = {pod_problem(pod) for pod in found.pods}
    _tell_problems(ctx, known, [text for text in found.problems if text not in shown])
    report.result(known)


def watch(ctx: Context, *, redraw: bool, failure: Callable[[], Exception | None] = lambda: None) -> NoReturn:
    """Show the status every few seconds until Ctrl-C, or until `failure` says that it cannot be shown.

    With `redraw` the screen is cleared each time; otherwise the status is printed again only when it changed.
    """
    last: Data = {}
    while True:
        found = gather(ctx)
        known = {key: value for key, value in data(ctx, found).items() if key != "time"}
        if redraw:
            click.clear()
        if redraw or known != last:
            show(ctx, found)
        if error := failure():
            raise error
        last = known
        ctx.clock.sleep(WATCH_SECONDS)


def node_rows(nodes: Sequence[Data], now: dt.datetime, *, asked: bool) -> list[list[str]]:
    """Return the rows of the table of nodes; `asked` says whether the cluster answered."""
    rows = []
    for node in nodes:
        machine = node["machine"] or ("unknown" if node["in_lab"] else "not in lab.yaml")
        state = "Ready" if node["ready"] else "NotReady"
        if node["ready"] is None:
            state = "not in the cluster" if asked else "unknown"
        state += ", cordoned" if node["cordoned"] else ""
        cells = [node["name"], node["role"], node["address"], machine, state]
        rows.append([*cells, node["version"] or "", _age(node["created"], now)])
    return rows


def _pod_cells(pod: Data, now: dt.datetime) -> list[str]:
    return [pod["problem"] or "Ready", str(pod["restarts"]), _age(pod["created"], now)]


def _lab_rows(known: Data, now: dt.datetime) -> list[list[str]]:
    unknown = known["unknown"]
    # The reason why the cluster could not be asked is shown once.
    told = unknown.get("cluster")
    return [
        ["Kubernetes", known["kubernetes"]],
        ["API server", unknown.get("cluster") or unknown.get("readyz") or _api_server(known["failing"])],
        ["pods", _pods(known["pods"])],
        ["last verify", _verify(known["verify"], now)],
        ["snapshot", unknown.get("snapshot") or _snapshot(known["snapshot"], now)],
        ["certificates", _certificates(known["certificates"], unknown.get("certificates"), told)],
        *([f"add-on {each['name']}", in_words(each)] for each in known["addons"]),
        *(["port", f"{each['port']}{'' if each['open'] else ': closed'}"] for each in known["ports"]),
    ]


def _api_server(failing: Sequence[str]) -> str:
    return f"not ready: {', '.join(failing)}" if failing else "ready"


def _pods(pods: Data | None) -> str:
    if pods is None:
        return "unknown"
    return f"{pods['total'] - len(pods['not_ready'])} of {pods['total']} Ready or completed"


def _verify(record: Data | None, now: dt.datetime) -> str:
    if record is None:
        return "never"
    counts = f"{record['passed']} passed, {record['failed']} failed, {record['skipped']} skipped"
    kind = "green" if record["green"] else "red"
    first = f"; {record['failures'][0]}" if record["failures"] else ""
    return f"{kind}{', quick' if record['quick'] else ''}, {_age(record['time'], now)} ago: {counts}{first}"


def _snapshot(snapshot: Data | None, now: dt.datetime) -> str:
    if snapshot is None:
        return "none"
    note = f": {snapshot['note']}" if snapshot["note"] else ""
    return f"{snapshot['name']}, {_age(snapshot['time'], now)} ago{note}"


def _certificates(expiries: Sequence[Data] | None, why: str | None, told: str | None) -> str:
    if expiries is None:
        return "unknown" if why is None or why == told else why
    if not expiries:
        return "none"
    first = expiries[0]
    return f"{first['days']} days left ({first['node']}: {first['file']})"


def _age(time: str | None, now: dt.datetime) -> str:
    return age(dt.datetime.fromisoformat(time), now) if time else ""


def _start_is_unfinished(ctx: Context, known: Data) -> bool:
    """Return whether `start` or `stop --save` was interrupted, and nothing goes on with it now."""
    on = any(node["machine"] in (RUNNING, PAUSED) for node in known["nodes"])
    return on and ctx.workspace.start_record.exists() and not ctx.workspace.busy()


def _tell_problems(ctx: Context, known: Data, texts: Sequence[str]) -> None:
    """Warn of the problems `texts`, which no table shows, and print the next command."""
    if _start_is_unfinished(ctx, known):
        ctx.report.warn(f"the lab was not stopped or started to the end: {START} goes on")
    for text in texts[:SHOWN]:
        ctx.report.warn(text)
    if len(texts) > SHOWN:
        ctx.report.warn(f"and {len(texts) - SHOWN} more: kubelab status --json")
    if known["policies"] and (ignored := known["policies"]["ignored"]):
        what = "1 NetworkPolicy has" if ignored == 1 else f"{ignored} NetworkPolicies have"
        ctx.report.warn(f"{what} no effect: the pod network {ctx.cni.name} does not enforce them")
    soon = [each["days"] for each in known["certificates"] or () if 0 <= each["days"] < DAYS_TO_WARN]
    if soon:
        ctx.report.warn(
            f"{len(soon)} certificates expire within {DAYS_TO_WARN} days, the first in {soon[0]} days"
        )
    if known["healthy"]:
        ctx.report.info(f"the cluster is healthy: Kubernetes {known['kubernetes']}, every node and pod Ready")
    states = {node["name"]: node["machine"] for node in known["nodes"] if node["machine"]}
    if not ctx.workspace.kubeconfig.exists() or MISSING in states.values():
        ctx.report.next_commands(["kubelab up"])
    elif any(state != RUNNING for state in states.values()) or _start_is_unfinished(ctx, known):
        ctx.report.next_commands([START])
    elif known["verify"] and not known["verify"]["green"]:
        ctx.report.next_commands(["kubelab verify"])
