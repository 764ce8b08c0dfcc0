"""The snapshots of a lab: its manifests compared with the snapshots in the hypervisor."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from provision.errors import MadeByNewer
from provision.lab.context import Context
from provision.report.text import age, size
from provision.snapshots.manifests import Manifest, children
from provision.snapshots.names import is_name
from provision.snapshots.preconditions import current_of, manifests_of


@dataclass(frozen=True)
class Survey:
    """All snapshots of a lab.

    `problems` maps a name to why it cannot be restored. It also names snapshots that machines have but that
    have no manifest. `newer` are those whose manifest only a newer kubelab can read.
    """

    manifests: Mapping[str, Manifest]
    problems: Mapping[str, str]
    current: str | None
    newer: frozenset[str] = frozenset()


def survey(ctx: Context) -> Survey:
    """Compare the manifests with the hypervisor."""
    known, broken = manifests_of(ctx).all()
    ids = ctx.machines.ids()
    backend = ctx.snapshots(ctx.cancel)
    there = backend.states(list(ids.values()))
    held = backend.list(list(there))
    problems = {name: error.message for name, error in broken.items()}
    for manifest in known.values():
        saved = {ctx.inventory.name_of(name): machine for name, machine in manifest.ids.items()}
        gone = [node for node, machine in saved.items() if ids.get(node) != machine]
        gone += [node for node in ids if node not in saved]
        lacking = [
            node
            for node, machine in saved.items()
            if node not in gone and (machine not in held or manifest.name not in held[machine].names)
        ]
        if gone:
            problems[manifest.name] = f"these nodes were recreated, added or removed since: {', '.join(gone)}"
        elif lacking:
            problems[manifest.name] = f"missing on {', '.join(lacking)}"
    orphans: dict[str, list[str]] = {}
    for node, machine in ids.items():
        for name in held[machine].names if machine in held else ():
            # One of another name is the user's own, made by the hypervisor's tools.
            if is_name(name) and name not in known and name not in broken:
                orphans.setdefault(name, []).append(node)
    problems |= {name: f"no manifest, only data on {', '.join(nodes)}" for name, nodes in orphans.items()}
    current = current_of(known, [each.current for each in held.values()])
    newer = frozenset(name for name, error in broken.items() if isinstance(error, MadeByNewer))
    return Survey(known, problems, current, newer)


def show_all(ctx: Context) -> None:
    """Print all snapshots as a tree, with the current one, ages and sizes."""
    found, now = survey(ctx), dt.datetime.now(dt.UTC)
    rows = []
    for depth, name in tree(found.manifests):
        manifest = found.manifests[name]
        mark = "*" if name == found.current else ""
        label = f"{'  ' * (depth - 1)}└ {name}" if depth else name
        state = found.problems.get(name) or _state(manifest)
        rows.append([label, mark, age(manifest.time, now), size(manifest.size), state, manifest.note])
    strange = sorted(set(found.problems) - set(found.manifests))
    rows += [[name, "", "", "", found.problems[name], ""] for name in strange]
    if rows:
        ctx.report.table("Snapshots", ["name", "current", "age", "size", "state", "note"], rows)
    else:
        ctx.report.info("the lab has no snapshots")
    for name, problem in found.problems.items():
        # One that a newer kubelab saved is of use to that one.
        remedy = "" if name in found.newer else f"; to remove it: kubelab snapshot delete {name}"
        ctx.report.warn(f"`{name}` cannot be restored: {problem}{remedy}")
    listed = [
        {**dump(manifest), "current": name == found.current, "problem": found.problems.get(name)}
        for name, manifest in found.manifests.items()
    ]
    other = [{"name": name, "problem": found.problems[name]} for name in strange]
    ctx.report.result({"snapshots": listed, "current": found.current, "strange": other})


def show_one(ctx: Context, name: str) -> None:
    """Print everything about one snapshot; raises SnapshotError when it does not exist."""
    manifest = manifests_of(ctx).read(name)
    found = survey(ctx)
    problem = found.problems.get(name)
    rows = [
        ["saved", f"{manifest.time:%Y-%m-%d %H:%M:%S} UTC"],
        ["note", manifest.note],
        ["parent", manifest.parent or "none"],
        ["children", ", ".join(children(found.manifests, name)) or "none"],
        ["memory", "saved" if manifest.live else "not saved: the machines were powered off"],
        ["cluster", "healthy" if manifest.verified else "not known to be healthy"],
        ["kubernetes", manifest.kubernetes],
        ["box", manifest.box],
        ["size", size(manifest.size)],
        ["paused for", f"{manifest.stand_still:.1f} s"],
        ["paused within", f"{manifest.pause_spread * 1000:.0f} ms"],
        *([ctx.inventory.name_of(node.name), f"{node.id}, {size(node.size)}"] for node in manifest.nodes),
        ["can be restored", f"no: {problem}" if problem else "yes"],
    ]
    ctx.report.table(f"Snapshot {name}", ["", ""], rows)
    ctx.report.result({**dump(manifest), "current": name == found.current, "problem": problem})


def tree(known: Mapping[str, Manifest]) -> list[tuple[int, str]]:
    """Return (depth, name) of every snapshot, each below its parent, siblings by age."""
    rows: list[tuple[int, str]] = []
    # A manifest edited by hand may be its own ancestor: it is shown once, without a parent.
    rest = [name for name in known if not _has_root(known, name)]
    waiting = [(0, name) for name, manifest in known.items() if manifest.parent not in known][::-1]
    while waiting:
        depth, name = waiting.pop()
        rows.append((depth, name))
        waiting += [(depth + 1, child) for child in reversed(children(known, name))]
    return rows + [(0, name) for name in rest]


def descendants(known: Mapping[str, Manifest], names: Sequence[str]) -> list[str]:
    """Return `names` and all their descendants, each before its parent."""
    wanted, waiting = set(names), list(names)
    while waiting:
        more = set(children(known, waiting.pop())) - wanted
        wanted |= more
        waiting += more
    order = [name for _, name in tree(known)]
    return [name for name in reversed(order) if name in wanted] + sorted(wanted - set(order))


def dump(manifest: Manifest) -> dict[str, object]:
    """Return a manifest as JSON data, for --json."""
    return {**manifest.model_dump(mode="json", by_alias=True), "size": manifest.size}


def _has_root(known: Mapping[str, Manifest], name: str) -> bool:
    seen: set[str] = set()
    at: str | None = name
    while at is not None and at in known and at not in seen:
        seen.add(at)
        at = known[at].parent
    return at not in seen


def _state(manifest: Manifest) -> str:
    if not manifest.live:
        return "disks only"
    return "healthy" if manifest.verified else "not known to be healthy"
