"""A real lab while everything it stands on is broken: it is mended by the next command, each time.

The tests are one story, in this order: the lab is made, saved and put back, and loses libvirtd, the disk and
its time. KUBELAB_SUSPEND=1200 lets the machines stand still for the whole 20 minutes of a host that slept;
without, for one minute, and their clocks are set back by the rest.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from provision.engine.steps import Together
from provision.engine.waiting import RealClock, poll_until
from provision.providers.base import PAUSED, RUNNING
from provision.providers.libvirt.virsh import Virsh
from provision.steps import UP
from tests.e2e.cluster import KUBELAB, Cluster
from tests.e2e_faults import host

HERE = Path(__file__).parent
FOLDER = HERE.parent.parent / "build" / "e2e-faults"
STEPS = [step.id for item in UP for step in (item.steps if isinstance(item, Together) else (item,))]
# Parts of the time that a save or restore takes when nothing goes wrong; with both, ten moments.
MOMENTS = (0.1, 0.3, 0.5, 0.7, 0.9)
SLEEP = 20 * 60.0
STAND_STILL = float(os.environ.get("KUBELAB_SUSPEND", "60"))
# Seconds by which a node's clock may be off once it was mended.
NEAR = 2.0


@pytest.fixture(scope="module")
def lab() -> Iterator[Cluster]:
    """Return the folder of a lab of which nothing is there yet; it is destroyed in the end."""
    made = Cluster.of(FOLDER, HERE / "lab.yaml")
    try:
        with host.others():
            yield made
            made.kubelab("destroy")
    finally:
        made.destroy()


@pytest.fixture(autouse=True)
def told(lab: Cluster, request: pytest.FixtureRequest) -> Iterator[None]:
    """Tell why the first test failed that did, before the next one changes the lab."""
    failed = request.session.testsfailed
    yield
    if request.session.testsfailed > failed == 0:
        lab.tell_why()


def test_up_goes_on_where_it_was_killed_whatever_it_began(lab: Cluster) -> None:
    for step in STEPS:
        lab.up_killed_in(step)
        assert PAUSED not in host.states(lab)
    lab.kubelab("up")
    whole(lab, {"ready"})
    lab.kubelab("verify", "--quick")


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_save_that_is_killed_is_mended(lab: Cluster, moment: float, usual: dict[str, float]) -> None:
    kill_at(lab, ["snapshot", "save", "killed"], moment * usual["save"])
    lab.kubelab("snapshot", "list")
    # Whole or not at all.
    whole(lab, {"ready"} | ({"killed"} & known(lab)))
    if "killed" in known(lab):
        lab.kubelab("snapshot", "delete", "killed")


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_restore_that_is_killed_is_mended(lab: Cluster, moment: float, usual: dict[str, float]) -> None:
    kill_at(lab, ["reset"], moment * usual["restore"])
    lab.kubelab("snapshot", "list")
    whole(lab, {"ready"})
    answers(lab)


def test_libvirtd_is_killed_while_all_machines_stand_still(lab: Cluster) -> None:
    save = subprocess.Popen([*KUBELAB, "snapshot", "save", "killed"], cwd=lab.folder)
    host.wait_for(lab, PAUSED)
    host.kill_libvirtd()
    # Without libvirtd nothing can be mended; what counts is that it ends, and with words.
    assert save.wait(lab.context.scaled(300)) in (0, 1)
    lab.kubelab("doctor", "--fix", "--file", "lab.yaml")
    lab.kubelab("snapshot", "list")
    # When it starts anew, libvirt itself may end a machine that was in the middle of an answer.
    lab.kubelab("up")
    whole(lab, {"ready"} | ({"killed"} & known(lab)))
    lab.kubelab("snapshot", "delete", "killed", check=False)
    answers(lab)


def test_the_disk_is_full_in_the_middle_of_a_save(lab: Cluster) -> None:
    save = subprocess.Popen([*KUBELAB, "snapshot", "save", "full"], cwd=lab.folder)
    host.wait_for(lab, PAUSED)
    with host.full_disk():
        assert save.wait(lab.context.scaled(300)) in (0, 1)
    lab.kubelab("snapshot", "list")
    # QEMU itself lets a machine stand still that could not write; `up` lets it run on.
    lab.kubelab("up")
    whole(lab, {"ready"} | ({"full"} & known(lab)))
    lab.kubelab("snapshot", "delete", "full", check=False)
    answers(lab)


def test_the_host_slept_for_twenty_minutes(lab: Cluster) -> None:
    ids = lab.context.machines.ids()
    for machine in ids.values():
        Virsh()("suspend", machine)
    time.sleep(STAND_STILL)
    for machine in ids.values():
        Virsh()("resume", machine)
    missing = int(max(0.0, SLEEP - STAND_STILL))
    for node in ids:
        on(lab, node, f"date -s @$(($(date +%s) - {missing})) >/dev/null")
    lab.kubelab("up")
    for node in ids:
        near(lab, node)
    lab.kubelab("verify", "--quick")


@pytest.fixture(scope="module")
def usual(lab: Cluster) -> dict[str, float]:
    """Return how many seconds a save and a restore take when nothing goes wrong."""
    seconds = {"save": measured(lab, "snapshot", "save", "usual")}
    lab.kubelab("snapshot", "delete", "usual")
    return {**seconds, "restore": measured(lab, "reset")}


def measured(lab: Cluster, *words: str) -> float:
    began = time.monotonic()
    lab.kubelab(*words)
    return time.monotonic() - began


def kill_at(lab: Cluster, words: list[str], seconds: float) -> None:
    """Run a command, and end it after so many seconds without a chance to tidy up."""
    print(f"$ kubelab {' '.join(words)}, killed after {seconds:.1f} s", flush=True)
    process = subprocess.Popen([*KUBELAB, *words], cwd=lab.folder)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def known(lab: Cluster) -> set[str]:
    """Return the snapshots that have a manifest."""
    return {file.stem for file in lab.context.workspace.snapshots.glob("*.json")}


def whole(lab: Cluster, snapshots: set[str]) -> None:
    """Fail unless all machines run, no journal is left, and every machine has just these snapshots."""
    context = lab.context
    ids = context.machines.ids()
    assert len(ids) == len(context.inventory.nodes)
    assert host.states(lab) == {RUNNING}
    assert not context.workspace.journal.exists()
    assert known(lab) == snapshots
    held = context.snapshots(context.cancel).list(list(ids.values()))
    assert [set(each.names) for each in held.values()] == [snapshots] * len(ids)


def answers(lab: Cluster) -> None:
    """Fail unless the cluster is well; the checks run twice, as after `up` and `reset`."""
    try:
        lab.kubelab("verify", "--quick")
    except AssertionError:
        lab.kubelab("verify", "--quick")


def on(lab: Cluster, node: str, script: str) -> str:
    return lab.kubelab("ssh", node, "--", "sudo", "sh", "-c", script)


def near(lab: Cluster, node: str) -> None:
    """Fail unless a node's clock comes near the host's."""

    def is_near() -> bool:
        before = time.time()
        shown = float(on(lab, node, "date +%s.%N"))
        return before - NEAR < shown < time.time() + NEAR

    deadline = lab.context.scaled(60)
    poll_until(is_near, what=f"the right time on {node}", deadline=deadline, clock=RealClock())
