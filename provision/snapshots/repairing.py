"""What follows when all machines are back: the cluster is repaired and looked at."""

from __future__ import annotations

from provision.errors import Cancelled, LabError
from provision.lab.context import Context
from provision.lab.readiness import wait_until_ready, what_is_missing
from provision.repair.cluster import repair
from provision.snapshots import journal as snapshot_journal
from provision.snapshots.manifests import Manifest


def repair_and_verify(ctx: Context, manifest: Manifest) -> None:
    """Repair and verify the cluster after its machines were restored.

    A cluster that was not healthy when it was saved gets warnings only. Raises what repair and verification
    raise.
    """
    # The restored nodes know nothing of connections that were opened later.
    ctx.disconnect()
    if manifest.live:
        try:
            _repair(ctx, manifest)
        except Cancelled:
            raise
        except LabError as error:
            snapshot_journal.remove(ctx.workspace)
            if manifest.verified:
                raise
            ctx.report.warn(f"the cluster is not healthy, as when it was saved: {error.message}")
    snapshot_journal.remove(ctx.workspace)


def _repair(ctx: Context, manifest: Manifest) -> None:
    try:
        ctx.kubectl  # noqa: B018 - without it nothing can be asked or repaired
    except LabError as error:
        raise LabError(
            f"the machines are restored to `{manifest.name}` and run, but the cluster was not looked at: "
            f"{error.message}",
            hint=error.hint,
        ) from error
    start = ctx.clock.now()
    moment = manifest.time.timestamp()
    repair(ctx, moment, good_until=manifest.good_until if manifest.verified else None)
    repaired = ctx.clock.now()
    ctx.report.phase("repair", repaired - start)
    if manifest.verified:
        wait_until_ready(ctx, "ready")
    else:
        for problem in what_is_missing(ctx):
            ctx.report.warn(problem)
    ctx.report.phase("ready", ctx.clock.now() - repaired)
