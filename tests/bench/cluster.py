"""Times a real cluster: the phases one after the other as by hand, then `kubelab up`, with the same box."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

from provision.engine.steps import run_steps
from provision.lab.context import Context
from provision.lab.opening import open_lab, read_lab
from provision.lifecycle.destroy import destroy
from provision.report.base import Reporter
from provision.report.choose import make_reporter
from provision.steps import UP
from provision.steps.control_plane import ControlPlaneStep
from provision.steps.join import JoinStep
from provision.steps.nodes import NodesStep
from provision.steps.ready import ReadyStep
from tests.bench import snapshots

FOLDER = Path(__file__).parents[2] / "build" / "bench"
LAB = "name: kubelab-bench\nnetwork: {nodes: 192.168.178.0/24}\nworkers: {count: 2}\n"


def measure() -> dict[str, float]:
    """Return the seconds of each phase by hand, of `up`, of another `up`, of the ways back; and ratios."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "lab.yaml").write_text(LAB)
    with make_reporter() as report:
        try:
            return _measure(report)
        finally:
            destroy(_open(report))
            shutil.rmtree(FOLDER)


def _measure(report: Reporter) -> dict[str, float]:
    destroy(_open(report))
    hand = _by_hand(_open(report))
    destroy(_open(report))
    up = _timed(lambda: _up(_open(report)))
    again = _timed(lambda: _up(_open(report)))
    floor = sum(hand.values())
    ratios = {"up": up, "up again": again, "up / by hand": up / floor, "up again / up": again / up}
    back = snapshots.measure(_open, up)
    return {
        **{f"by hand: {name}": seconds for name, seconds in hand.items()},
        "by hand": floor,
        **ratios,
        **back,
    }


def _by_hand(ctx: Context) -> dict[str, float]:
    """Run the phases in the order of a person, counting only what no person can leave out."""
    run_steps(UP, ctx, ctx.report, clock=ctx.clock, cancel=ctx.cancel, until_id="network")
    seconds = {"boot": _timed(ctx.machines.up)}
    ctx.pin_host_keys()
    NodesStep().apply(ctx)
    seconds["kubeadm init"] = _timed(lambda: ControlPlaneStep().apply(ctx))
    seconds["kubeadm join"] = _timed(lambda: JoinStep().apply(ctx))
    seconds["last pod Ready"] = _timed(lambda: ReadyStep().apply(ctx))
    return seconds


def _up(ctx: Context) -> None:
    run_steps(UP, ctx, ctx.report, clock=ctx.clock, cancel=ctx.cancel)


def _open(report: Reporter) -> Context:
    config, workspace = read_lab(FOLDER / "lab.yaml")
    workspace.prepare()
    return open_lab(config, workspace, report, threading.Event())


def _timed(work: Callable[[], object]) -> float:
    start = time.monotonic()
    work()
    return time.monotonic() - start
