"""Times kubelab itself, as ratios within one run: `python -m tests.bench [--cluster]`; writes bench.json."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from provision.engine.parallel import on_all
from provision.engine.steps import run_steps
from provision.engine.waiting import RealClock
from provision.report.base import RecordingReporter
from provision.report.choose import make_reporter
from tests.fakes.node.runner import FAILED, OK, FakeRunner, in_turn

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "bench.json"
RUNS = 10
NODES = 100
STEPS = 10


class Everywhere:
    """A step that asks every node, works on it, and asks again."""

    def __init__(self, number: int, nodes: list[FakeNode], cancel: threading.Event) -> None:
        self.id = self.title = f"step-{number}."
        self.nodes = nodes
        self.cancel = cancel

    def is_done(self, ctx: None) -> bool:
        return all(on_all(self.nodes, lambda node: node.probe(self.id), self.cancel).values())

    def apply(self, ctx: None) -> None:
        on_all(self.nodes, lambda node: node.work(self.id), self.cancel)

    def plan(self, ctx: None) -> str:
        return self.title


class FakeNode:
    """A node whose every step is undone until it was worked on."""

    def __init__(self, name: str) -> None:
        self.name = name
        probes: list[tuple[Any, Any]] = [
            (f"probe step-{number}.", in_turn(FAILED, OK)) for number in range(STEPS)
        ]
        self.runner = FakeRunner(name, [*probes, ("work", OK)])

    def probe(self, step: str) -> bool:
        return self.runner.run(f"probe {step}", check=False).ok

    def work(self, step: str) -> None:
        self.runner.run(f"work {step}")


def start_up() -> dict[str, float]:
    """Return the median seconds of `kubelab --help` and of a Python that does nothing, taken in turn."""
    commands = {"python": ["-c", "pass"], "kubelab --help": ["-m", "provision", "--help"]}
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(RUNS):
        for name, arguments in commands.items():
            seconds[name].append(_timed(lambda arguments=arguments: _python(arguments)))
    found = {name: statistics.median(values) for name, values in seconds.items()}
    return {**found, "kubelab --help / python": found["kubelab --help"] / found["python"]}


def _python(arguments: list[str]) -> None:
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, cwd=ROOT, check=True)


def engine() -> dict[str, float]:
    """Return what the engine adds to the same calls in a plain loop, for each node and step: medians."""
    by_engine = statistics.median(_engine(_nodes()) for _ in range(RUNS))
    by_loop = statistics.median(_loop(_nodes()) for _ in range(RUNS))
    added = (by_engine - by_loop) * 1000 / (NODES * STEPS)
    return {"engine, ms a node and step": added, "engine / plain loop": by_engine / by_loop}


def _nodes() -> list[FakeNode]:
    return [FakeNode(f"node-{number}") for number in range(NODES)]


def _engine(nodes: list[FakeNode]) -> float:
    cancel = threading.Event()
    steps = [Everywhere(number, nodes, cancel) for number in range(STEPS)]
    return _timed(lambda: run_steps(steps, None, RecordingReporter(), clock=RealClock(cancel), cancel=cancel))


def _loop(nodes: list[FakeNode]) -> float:
    """Time the calls that the engine makes, and nothing else."""

    def work() -> None:
        for number in range(STEPS):
            for call in (FakeNode.probe, FakeNode.work, FakeNode.probe):
                for node in nodes:
                    call(node, f"step-{number}.")

    return _timed(work)


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--cluster", action="store_true", help="also make a real cluster, twice")
    cluster = parser.parse_args().cluster
    found = {"start-up": start_up(), "engine": engine()}
    if cluster:
        from tests.bench.cluster import measure

        found["cluster"] = measure()
    rows = [
        [group, name, f"{value:.3f}"] for group, values in found.items() for name, value in values.items()
    ]
    with make_reporter() as report:
        report.table("Benchmarks (seconds where no other unit)", ["group", "what", "value"], rows)
    RESULT.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
