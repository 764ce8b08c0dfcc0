"""`kubelab snapshot` and `kubelab reset`: what they do and what they print."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from provision.errors import SnapshotError
from provision.lab import ports
from provision.lab.context import Context
from provision.lab.sizes import other_sizes
from provision.report.text import size
from provision.snapshots import actions
from provision.snapshots.listing import descendants, dump, survey
from provision.snapshots.manifests import READY
from provision.snapshots.names import check_name
from provision.snapshots.preconditions import manifests_of, restorable
from provision.verify.examine import prove


def save(ctx: Context, name: str, note: str) -> None:
    """Save the lab and print how long it was paused."""
    start = ctx.clock.now()
    manifest = actions.save(ctx, name, note)
    seconds = ctx.clock.now() - start
    if manifest.live:
        ctx.report.info(
            f"saved `{name}` in {seconds:.1f} s, {size(manifest.size)}: all machines were paused within "
            f"{manifest.pause_spread * 1000:.0f} ms of each other, for {manifest.stand_still:.1f} s"
        )
        if not manifest.verified:
            ctx.report.warn("the cluster was not healthy when it was saved; kubelab status shows why")
    else:
        ctx.report.info(f"saved `{name}` in {seconds:.1f} s: disks only, as the machines are powered off")
    ctx.report.result({**dump(manifest), "seconds": round(seconds, 2)})
    ctx.report.next_commands([f"kubelab snapshot restore {name}"])


def restore(ctx: Context, name: str, lab_file: Path, save_first: str | None = None) -> None:
    """Restore the lab, print how long it took, and run the quick checks if it was healthy when it was saved.

    With `save_first` the present state is saved under that name first. Raises VerifyFailed.
    """
    # Checked first: there is no point in saving the present state if the snapshot cannot be restored.
    restorable(ctx, ctx.snapshots(ctx.cancel), name)
    if save_first is not None:
        save(ctx, save_first, f"before `{name}` was restored")
    start = ctx.clock.now()
    manifest = actions.restore(ctx, name)
    seconds = ctx.clock.now() - start
    if manifest.live:
        state = "cluster repaired and ready" if manifest.verified else "not healthy when it was saved"
        ctx.report.info(f"restored `{name}` in {seconds:.1f} s: {state}")
        ports.bring_back(ctx)
    else:
        ctx.report.info(f"restored `{name}` in {seconds:.1f} s: powered off, as it was when it was saved")
        ports.close(ctx)
        ctx.report.next_commands(["kubelab up"])
    for other in other_sizes(ctx):
        ctx.report.info(f"{other.key}: {other.text}; the next `kubelab up` applies it by a restart")
    proved = prove(ctx, lab_file) if manifest.live and manifest.verified else 0.0
    found = {"seconds": round(seconds, 2), "verify_seconds": round(proved, 2)}
    ctx.report.result({"name": name, "live": manifest.live, **found})


def delete(ctx: Context, names: Sequence[str], *, children: bool) -> None:
    """Delete snapshots; raises SnapshotError for one that has child snapshots, unless `children` is true."""
    found = survey(ctx)
    for name in names:
        if name not in found.manifests and name not in found.problems:
            check_name(name)
            raise SnapshotError(f"there is no snapshot `{name}`", hint="kubelab snapshot list")
    wanted = descendants(found.manifests, names)
    more = sorted(set(wanted) - set(names))
    if more and not children:
        raise SnapshotError(
            f"these snapshots are based on it: {', '.join(more)}",
            hint=f"kubelab snapshot delete {' '.join(names)} --children deletes them too",
        )
    _delete(ctx, wanted)


def delete_oldest(ctx: Context, keep: int) -> None:
    """Delete all but `ready` and the newest `keep`; children of a deleted snapshot stay."""
    known, _ = manifests_of(ctx).all()
    names = [name for name in known if name != READY]
    _delete(ctx, names[: len(names) - keep] if keep < len(names) else [])


def _delete(ctx: Context, names: Sequence[str]) -> None:
    for name in names:
        actions.delete(ctx, name)
    ctx.report.info(f"deleted {', '.join(names)}" if names else "nothing to delete")
    ctx.report.result({"deleted": list(names)})
