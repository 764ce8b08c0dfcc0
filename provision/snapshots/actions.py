"""Snapshots of a whole lab: one point in time for every machine, all of them or none."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from provision.errors import Cancelled, LabError
from provision.host.memory import Prefault, prefaultable_mib
from provision.lab.context import Context
from provision.lab.readiness import what_is_missing
from provision.lab.refusals import refuse_anothers_machines
from provision.providers.base import PAUSED, RUNNING, SnapshotBackend
from provision.snapshots import journal as snapshot_journal
from provision.snapshots import manifests, preconditions, recovery
from provision.snapshots.journal import Journal
from provision.snapshots.machines import erase, on_machines, revert
from provision.snapshots.manifests import Manifest, SavedNode
from provision.snapshots.preconditions import holders, machine_ids, manifests_of, restorable
from provision.snapshots.preparation import prepare
from provision.snapshots.repairing import repair_and_verify


def save(ctx: Context, name: str, note: str = "") -> Manifest:
    """Save every machine of the lab at one point in time and return the manifest.

    A powered-off lab is saved without memory. Raises SnapshotError, ResourceError; then nothing is left.
    """
    refuse_anothers_machines(ctx)
    backend, store, software = ctx.snapshots(ctx.cancel), manifests_of(ctx), ctx.software()
    ids = machine_ids(ctx)
    live = preconditions.all_running(ctx, backend, ids)
    parent = preconditions.free_to_save(backend, store, ids, name)
    backend.can_save(list(ids.values()))
    before = preconditions.room(ctx, backend, ids, live=live)
    likely = preconditions.likely_mib(store, ctx.inventory.nodes) if live else 0
    with Prefault(min(likely, prefaultable_mib()), ctx.cancel) as prefault:
        verified = live and not what_is_missing(ctx)
        good_until = prepare(ctx, ids) if live else None
        journal = Journal(action="save", name=name, time=_now(), ids=ids, running=tuple(ids) if live else ())
        with recovery.guarded(ctx, journal):
            spread, still = _take(ctx, backend, ids, name, prefault, live=live)
            preconditions.check_held(backend, ids, name)
            after = backend.space(list(ids.values()))
            nodes = tuple(
                SavedNode(name=name, id=machine, size=max(0, after[machine].used - before[machine].used))
                for name, machine in ctx.inventory.by_machine(ids).items()
            )
            manifest = Manifest(
                lab=ctx.config.name,
                name=name,
                number=store.next_number(),
                note=note,
                time=journal.time,
                parent=parent,
                live=live,
                verified=verified,
                good_until=good_until,
                config_digest=manifests.config_digest(software.config),
                kubernetes=software.version,
                box=software.recipe.name,
                bundle=software.recipe.bundle_key,
                nodes=nodes,
                pause_spread=round(spread, 4),
                stand_still=round(still, 3),
            )
            store.write(manifest)
    snapshot_journal.remove(ctx.workspace)
    return manifest


def restore(ctx: Context, name: str) -> Manifest:
    """Restore every machine to a snapshot, then repair and verify the cluster; return the manifest.

    Raises SnapshotError before anything is changed when a machine cannot be restored.
    """
    refuse_anothers_machines(ctx)
    backend = ctx.snapshots(ctx.cancel)
    manifest, ids = restorable(ctx, backend, name)
    states = backend.states(list(ids.values()))
    running = tuple(node for node, machine in ids.items() if states.get(machine) in (RUNNING, PAUSED))
    if len(running) < len(ids) and not ctx.provider.network_ready(ctx.config, ctx.inventory):
        # After a reboot of the host the network is missing, and no machine starts without it.
        ctx.provider.make_network(ctx.config, ctx.inventory)
    journal = Journal(action="restore", name=name, time=_now(), ids=ids, running=running)
    start = ctx.clock.now()
    try:
        with recovery.guarded(ctx, journal):
            moving = [ids[node] for node in running if states[ids[node]] == RUNNING]
            if moving:
                backend.pause(moving)
            revert(ctx, backend, journal, manifest)
    except LabError as error:
        left = snapshot_journal.read_own(ctx.workspace)
        # The recovery restored every machine at its second attempt, so the command goes on.
        if isinstance(error, Cancelled) or left is None or left.phase != "repairing":
            raise
        ctx.report.warn(f"restored at the second attempt; the first one failed: {error.message}")
    ctx.report.phase("restore", ctx.clock.now() - start)
    repair_and_verify(ctx, manifest)
    return manifest


def delete(ctx: Context, name: str) -> None:
    """Delete a snapshot from every machine, and its manifest; its child snapshots stay."""
    refuse_anothers_machines(ctx)
    backend = ctx.snapshots(ctx.cancel)
    ids = holders(ctx, backend, name)
    journal = Journal(action="delete", name=name, time=_now(), ids=ids)
    with recovery.guarded(ctx, journal):
        erase(ctx, ids, name)
        manifests_of(ctx).remove(name)
    snapshot_journal.remove(ctx.workspace)


def _take(
    ctx: Context,
    backend: SnapshotBackend,
    ids: Mapping[str, str],
    name: str,
    prefault: Prefault,
    *,
    live: bool,
) -> tuple[float, float]:
    """Pause, save and resume; return the spread of the pauses and how long the lab was paused, in seconds."""
    machines = list(ids.values())
    prefault.release()
    began = ctx.clock.now()
    moments = backend.pause(machines).values() if live else [began]
    paused = ctx.clock.now()
    on_machines(ctx, ids, lambda machine: backend.save(machine, name))
    saved = ctx.clock.now()
    if live:
        # Nothing is told before: a screen that stands still would keep the machines paused.
        backend.resume(machines)
    resumed = ctx.clock.now()
    ctx.report.phase("save", saved - paused)
    if not live:
        return 0.0, 0.0
    ctx.report.phase("pause", paused - began)
    ctx.report.phase("resume", resumed - saved)
    return max(moments) - min(moments), max(0.0, resumed - min(moments))


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
