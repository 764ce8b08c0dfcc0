"""Break kubelab in every way of the table: `python -m tests.faults [--only PART] [--jobs N] [--list]`.

Prints each fault after which something was lost, with what was seen and how to run that one alone; the last
line is `N faults, M lost`, and the exit code is 1 if M is not 0.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

from tests.faults import judge
from tests.faults.fault import Fault
from tests.faults.scenes import SCENES, plant
from tests.faults.table import faults
from tests.faults.world import World, made

WIDTH = 300


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="only the faults with this in their name")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="so many at once")
    parser.add_argument("--list", action="store_true", help="print the names of the faults")
    arguments = parser.parse_args()
    chosen = [fault for fault in faults() if arguments.only in fault.name]
    if not chosen:
        sys.exit(f"no fault has {arguments.only!r} in its name")
    if arguments.list:
        print("\n".join(fault.name for fault in chosen))
        return
    signal.signal(signal.SIGTERM, _interrupt)
    # Connections break on purpose here; paramiko would print each.
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)
    sys.exit(1 if Game(chosen, min(arguments.jobs, len(chosen))).play() else 0)


class Game:
    """Faults that are played in several worlds at once."""

    def __init__(self, chosen: list[Fault], jobs: int) -> None:
        self.left, self.size, self.jobs = chosen[::-1], len(chosen), jobs
        self.lost = 0
        self.lock = threading.Lock()
        self.over = threading.Event()

    def play(self) -> int:
        """Play all; return after how many something was lost."""
        began = time.monotonic()
        with (
            tempfile.TemporaryDirectory(prefix="kubelab-faults-") as folder,
            ThreadPoolExecutor(self.jobs) as pool,
        ):
            places = [Path(folder) / str(number) for number in range(self.jobs)]
            try:
                list(pool.map(self._play_in, places))
            finally:
                self.over.set()
        print(f"in {time.monotonic() - began:.0f} s: {self.size} faults, {self.lost} lost")
        return self.lost

    def _play_in(self, folder: Path) -> None:
        folder.mkdir()
        with made(folder) as world:
            while (fault := self._next()) is not None:
                wrong = play(world, fault)
                with self.lock:
                    self.lost += bool(wrong)
                    if wrong:
                        print(_told(fault, wrong), flush=True)

    def _next(self) -> Fault | None:
        with self.lock:
            return self.left.pop() if self.left and not self.over.is_set() else None


def play(world: World, fault: Fault) -> list[str]:
    """Let one fault happen; return what is wrong afterwards, an empty list when nothing is."""
    world.reset(fault.start, aged=fault.scene == "aged")
    for words, wall in fault.before:
        world.kubelab(words, wall=wall)
    plant(world, fault.plants)
    SCENES[fault.scene](world)
    others = judge.Others.of(world, fault.scene)
    if fault.wall:
        (world.bin / "wall").write_text(str(fault.wall))
    world.arm(fault.trap.fields if fault.trap is not None else None)
    first = world.kubelab(
        fault.words, screen=fault.screen, wall=fault.wall, refusal=fault.refusal, free=fault.free
    )
    wrong = [f"at once: {text}" for text in judge.at_once(world, fault, first, others)]
    world.arm(None)
    (world.bin / "wall").unlink(missing_ok=True)
    second = world.kubelab(fault.then)
    return wrong + [f"after `{second.words}`: {text}" for text in judge.mended(world, fault, second, others)]


def _told(fault: Fault, wrong: list[str]) -> str:
    lines = "\n".join(f"    {text[:WIDTH]}" for text in wrong)
    return f"LOST {fault.name}\n{lines}\n    alone: make faults ONLY={fault.name!r}"


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
