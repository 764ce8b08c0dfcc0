"""Times the way back on a real cluster: reset and restore against `up`; ten rounds of save and restore."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from provision.cluster.health import restarts
from provision.lab.context import Context
from provision.report.base import RecordingReporter
from provision.snapshots import actions
from provision.snapshots.manifests import READY, Manifest
from provision.snapshots.preconditions import manifests_of

RESETS = 3
ROUNDS = 10
MIB = 2**20


def measure(open_lab: Callable[[RecordingReporter], Context], up: float) -> dict[str, float]:
    """Return seconds and ratios of a lab that has just been made in `up` seconds."""
    resets = [_restore(open_lab, READY) for _ in range(RESETS)]
    before = _restarts(open_lab(RecordingReporter()))
    rounds = [_round(open_lab, number) for number in range(ROUNDS)]
    saves = [_ready(open_lab), *(manifest for manifest, _, _ in rounds)]
    lasted = [seconds for _, seconds, _ in rounds]
    whole, alone = (statistics.median(values) for values in zip(*resets, strict=True))
    half = ROUNDS // 2
    return {
        "reset": whole,
        "reset / up": whole / up,
        "restore alone": alone,
        "restore alone / up": alone / up,
        "stood still, longest": max(manifest.stand_still for manifest in saves),
        "spread of the pauses, longest": max(manifest.pause_spread for manifest in saves),
        "round of save and restore": statistics.median(lasted),
        "later rounds / earlier rounds": statistics.median(lasted[half:]) / statistics.median(lasted[:half]),
        "restarts of containers in the rounds": _restarts(open_lab(RecordingReporter())) - before,
        "MiB on disk for ten snapshots": max(used for _, _, used in rounds) - rounds[0][2],
        "MiB on disk after deleting them": _deleted(open_lab) - rounds[0][2],
    }


def _ready(open_lab: Callable[[RecordingReporter], Context]) -> Manifest:
    """Return what `up` saved."""
    return manifests_of(open_lab(RecordingReporter())).read(READY)


def _restore(open_lab: Callable[[RecordingReporter], Context], name: str) -> tuple[float, float]:
    """Return the seconds until the lab is verified, and those from the first pause to the last resume."""
    report = RecordingReporter()
    ctx = open_lab(report)
    start = time.monotonic()
    actions.restore(ctx, name)
    lasted = time.monotonic() - start
    ctx.disconnect()
    return lasted, next(phase["seconds"] for phase in report.of("phase") if phase["name"] == "restore")


def _round(open_lab: Callable[[RecordingReporter], Context], number: int) -> tuple[Manifest, float, float]:
    """Save and restore once; return the manifest, the seconds, and the MiB the disks took before."""
    ctx = open_lab(RecordingReporter())
    used = _used(ctx)
    start = time.monotonic()
    manifest = actions.save(ctx, _name(number))
    actions.restore(ctx, _name(number))
    lasted = time.monotonic() - start
    ctx.disconnect()
    return manifest, lasted, used


def _deleted(open_lab: Callable[[RecordingReporter], Context]) -> float:
    """Delete what the rounds saved; return the MiB the disks take then."""
    ctx = open_lab(RecordingReporter())
    for number in range(ROUNDS):
        actions.delete(ctx, _name(number))
    used = _used(ctx)
    ctx.disconnect()
    return used


def _name(number: int) -> str:
    return f"round-{number}"


def _used(ctx: Context) -> float:
    spaces = ctx.snapshots(ctx.cancel).space(list(ctx.machines.ids().values()))
    return sum(space.used for space in spaces.values()) / MIB


def _restarts(ctx: Context) -> int:
    return sum(restarts(pod) for pod in ctx.kubectl.items("pods", "--all-namespaces"))
