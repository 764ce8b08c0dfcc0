"""`up` while other work, of the same priority, takes its share of every core of the host."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from provision.cluster.health import condition
from tests.e2e.cluster import Cluster

HERE = Path(__file__).parent
FOLDER = HERE.parent.parent / "build" / "busy"


@contextmanager
def busy_cores() -> Iterator[None]:
    """Keep as many processes at work as there are cores, and end them by their ids."""
    loops = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(len(os.sched_getaffinity(0)))
    ]
    try:
        yield
        assert [loop.poll() for loop in loops] == [None] * len(loops)
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


@pytest.fixture
def lab() -> Iterator[Cluster]:
    """Return a lab of which nothing is there yet; it is destroyed in the end."""
    made = Cluster.of(FOLDER, HERE / "lab.yaml")
    try:
        yield made
    finally:
        made.destroy()


def test_up_is_green_on_a_host_that_has_other_work(lab: Cluster) -> None:
    try:
        with busy_cores():
            # Its own quick checks are part of it: a red one ends it with an error.
            lab.kubelab("up")
        nodes = lab.context.kubectl.items("nodes")
        assert [condition(node, "Ready") for node in nodes] == ["True"] * 3
    except BaseException:
        lab.tell_why()
        raise
