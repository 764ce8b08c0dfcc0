"""The snapshot `ready`: where `kubelab reset` leads back to."""

from __future__ import annotations

from provision.errors import MadeByNewer, SnapshotError
from provision.extensions import SNAPSHOTS
from provision.lab.context import Context
from provision.snapshots import actions
from provision.snapshots.manifests import READY
from provision.snapshots.preconditions import holders, manifests_of, restorable


class SnapshotStep:
    """The lab as it was when everything was well, saved whole."""

    id = "snapshot"
    title = "Snapshot ready"

    def estimate(self, ctx: Context) -> float | None:
        return 4.0 + len(ctx.inventory.nodes)

    def patience(self, ctx: Context) -> float:
        return ctx.scaled(60)

    def is_done(self, ctx: Context) -> bool:
        if ctx.config.provider not in SNAPSHOTS:
            return True
        try:
            restorable(ctx, ctx.snapshots(ctx.cancel), READY)
        except MadeByNewer:
            # Another kubelab saved it, and can restore it: it is not for this one to delete.
            return True
        except SnapshotError:
            return False
        return True

    def apply(self, ctx: Context) -> None:
        # One of machines that are no more, or of some of them only, can never be restored.
        if manifests_of(ctx).exists(READY) or holders(ctx, ctx.snapshots(ctx.cancel), READY):
            actions.delete(ctx, READY)
        actions.save(ctx, READY, "after `kubelab up`")

    def plan(self, ctx: Context) -> str:
        return "save the lab as `ready`, for `kubelab reset`"
