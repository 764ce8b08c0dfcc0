"""The add-ons of a lab and how they are, by their workloads in the cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from provision.addons.base import LABEL, WORKLOADS
from provision.addons.choose import addon_of
from provision.cluster.health import Object, unready
from provision.extensions import ADDONS
from provision.lab.context import Context
from provision.status.model import Status

READY, ABSENT = "ready", "not installed"


def states(ctx: Context, objects: Sequence[Object] | None) -> list[dict[str, Any]]:
    """Return name, `wanted` (by lab.yaml) and state of every add-on that lab.yaml or the cluster has.

    The state is None where the cluster was not asked.
    """
    found: dict[str, list[Object]] = {name: [] for name in ctx.config.addons}
    for item in objects or ():
        name = (item["metadata"].get("labels") or {}).get(LABEL)
        if name and item["kind"] in WORKLOADS:
            found.setdefault(name, []).append(item)
    return [
        {
            "name": name,
            "wanted": name in ctx.config.addons,
            "state": None if objects is None else _state(workloads),
        }
        for name, workloads in found.items()
    ]


def in_words(known: dict[str, Any]) -> str:
    """Return the state of one add-on as people read it."""
    state = known["state"] or "unknown"
    return state if known["wanted"] else f"{state}, not in lab.yaml"


def show_addons(ctx: Context, found: Status) -> None:
    """Show every add-on that there is, with what it is for."""
    known = {each["name"]: each for each in states(ctx, found.objects)}
    state = None if found.objects is None else ABSENT
    for name in ADDONS:
        known.setdefault(name, {"name": name, "wanted": False, "state": state})
    titles = {name: addon_of(name).title if name in ADDONS else "" for name in known}
    rows = [
        [name, "yes" if each["wanted"] else "no", each["state"] or "unknown", titles[name]]
        for name, each in known.items()
    ]
    ctx.report.table("Add-ons", ["name", "in lab.yaml", "state", "what it is"], rows)
    if "cluster" in found.unknown:
        ctx.report.info(f"the cluster was not asked: {found.unknown['cluster']}")
    listed = [{**each, "title": titles[name]} for name, each in known.items()]
    ctx.report.result({"addons": listed, "unknown": dict(found.unknown)})


def _state(workloads: Sequence[Object]) -> str:
    if not workloads:
        return ABSENT
    waiting = unready(workloads)
    return f"not ready: {', '.join(waiting)}" if waiting else READY
