"""A cluster that was well when it was saved: mostly its API server is all that is asked."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest

from provision.errors import Cancelled
from provision.repair.cluster import repair
from provision.repair.look import PATIENCE, POLL_SECONDS, SCALED_PATIENCE
from tests.fakes.cluster.objects import pod, stamp
from tests.fakes.node.credentials import NOW, at
from tests.fakes.repair import LEADERS, World, make_world

YEAR = at(365)
LONGEST = PATIENCE + SCALED_PATIENCE


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def asked(world: World) -> list[str]:
    """Return the nodes that were asked anything."""
    return [name for name, runner in world.lab.runners.items() if runner.calls]


def started(world: World) -> list[str]:
    return [fields["id"] for kind, fields in world.lab.report.events if kind == "step_started"]


def told(world: World) -> bool:
    """Return whether it was said that every node is looked at after all."""
    return any("every node" in event["text"] for event in world.lab.report.of("info"))


def silent(world: World) -> None:
    """Let no sign of life be newer than the snapshot."""
    world.leases = dict.fromkeys(world.leases, -20.0)
    world.show()


def test_a_cluster_that_is_well_is_not_asked_node_by_node(world: World) -> None:
    outcome = world.repair(YEAR)
    assert (outcome.changed, outcome.skipped) == ([], ["credentials"])
    assert started(world) == ["look", "credentials"]
    assert asked(world) == []
    assert world.writes() == []
    assert not told(world)
    assert world.lab.ctx.fake_clock.time == 0


def test_heartbeats_are_waited_for(world: World) -> None:
    silent(world)
    world.later(3, world.beat)
    assert world.repair(YEAR).skipped == ["credentials"]
    assert asked(world) == []
    assert world.lab.ctx.fake_clock.time == pytest.approx(3, abs=POLL_SECONDS)


def test_slow_machines_get_more_time(tmp_path: Path) -> None:
    world = make_world(tmp_path, factor=10.0)
    silent(world)
    world.later(LONGEST * 2, world.beat)
    assert world.repair(YEAR).skipped == ["credentials"]
    assert asked(world) == []


def test_a_pod_that_comes_by_itself_is_waited_for(world: World) -> None:
    world.pods = [not_ready()]
    world.show()
    world.later(3, world.pods.clear)
    assert world.repair(YEAR).skipped == ["credentials"]
    assert asked(world) == []


def test_an_api_server_that_comes_to_itself_is_waited_for(world: World) -> None:
    world.lab.kubectl.answer("get*", stderr="refused", code=1)
    # What is shown anew answers again.
    world.later(2, lambda: None)
    assert world.repair(YEAR).skipped == ["credentials"]
    assert asked(world) == []
    assert world.lab.ctx.fake_clock.time == pytest.approx(2, abs=POLL_SECONDS)


def test_an_expired_join_token_is_deleted_without_a_node_being_asked(world: World) -> None:
    ends = {"old": -1, "new": 3600}
    world.secrets = [
        f"bootstrap-token-{name} {stamp(-86400)} {base64.b64encode(stamp(end).encode()).decode()}"
        for name, end in ends.items()
    ]
    world.show()

    def wall() -> float:
        # Asked before every look at the Secrets: what was deleted is gone by then.
        if world.writes():
            world.secrets = [line for line in world.secrets if "-old " not in line]
            world.show()
        return world.wall()

    assert repair(world.lab.ctx, NOW, wall, good_until=YEAR).changed == ["credentials"]
    (write,) = world.writes()
    assert write.startswith("delete secret --namespace=kube-system")
    assert "bootstrap-token-old" in write
    assert "bootstrap-token-new" not in write
    assert asked(world) == []
    assert not told(world)
    assert world.lab.ctx.fake_clock.time == 0


def test_an_api_server_that_fails_after_all_is_a_matter_for_the_repair(world: World) -> None:
    world.lab.kubectl.answer("get secrets*", stderr="the server was unable to return a response", code=1)
    failing = [True]

    def wall() -> float:
        # It answers again by the time that the nodes are asked.
        if asked(world) and failing:
            failing.clear()
            world.show()
        return world.wall()

    assert repair(world.lab.ctx, NOW, wall, good_until=YEAR).changed == []
    assert started(world)[:3] == ["look", "credentials", "clocks"]
    assert told(world)


def when_clocks_are_set(world: World, *changes: Callable[[], None]) -> None:
    """Let `changes` happen in the first pause after every clock was set, and show the result."""

    def on_sleep() -> None:
        if all("date -s" in machine.done for machine in world.machines.values()):
            for change in changes:
                change()
            world.show()

    world.lab.ctx.fake_clock.on_sleep = on_sleep


def test_without_heartbeats_every_node_is_looked_at_and_mended(world: World) -> None:
    silent(world)
    for machine in world.machines.values():
        machine.behind = 20.0
    when_clocks_are_set(world, world.beat)
    outcome = world.repair(YEAR)
    assert outcome.changed == ["clocks", "heartbeats"]
    assert started(world)[:2] == ["look", "clocks"]
    assert told(world)
    assert world.done() == {name: ["date -s"] for name in world.machines}
    assert [abs(machine.behind) < 0.01 for machine in world.machines.values()] == [True] * 3
    # No longer than a healthy cluster needs, and one pause for the heartbeats.
    assert world.lab.ctx.fake_clock.time == pytest.approx(LONGEST + 0.5, abs=POLL_SECONDS)


@pytest.mark.parametrize("name", ["lab-w2", *LEADERS])
def test_one_heartbeat_that_is_missing_is_enough(world: World, name: str) -> None:
    world.leases[name] = -20.0
    world.show()
    world.later(LONGEST + 1, world.beat)
    assert world.repair(YEAR).changed == ["heartbeats"]
    assert asked(world) == list(world.machines)


def test_a_node_that_is_not_ready_is_looked_at(world: World) -> None:
    world.unready.add("lab-w1")
    world.show()
    world.later(LONGEST + 1, world.unready.clear)
    assert world.repair(YEAR).changed == ["heartbeats"]
    assert told(world)


def test_a_pod_that_hangs_is_mended(world: World) -> None:
    world.pods = [not_ready()]
    world.show()
    world.later(40, world.pods.clear)
    assert world.repair(YEAR).changed == ["pods"]
    (write,) = world.writes()
    assert write.endswith(" -- web-1")


def not_ready() -> dict[str, object]:
    """Return a pod that has not been Ready since just before the snapshot."""
    return pod(conditions=[{"type": "Ready", "status": "False", "lastTransitionTime": stamp(-5)}])


@pytest.mark.parametrize("good_until", [None, at(-400), at(-0.1), at(0.5), at(1)])
def test_where_something_may_have_ended_the_nodes_are_asked_at_once(
    world: World, good_until: dt.datetime | None
) -> None:
    outcome = world.repair(good_until)
    assert "look" not in started(world)
    assert outcome.skipped[0] == "clocks"
    assert asked(world) == list(world.machines)
    assert not told(world)


def test_what_is_good_for_more_than_a_day_is_good(world: World) -> None:
    assert world.repair(at(1.001)).skipped == ["credentials"]


def test_a_heartbeat_from_the_future_is_that_of_a_clock_that_is_not_set(world: World) -> None:
    for machine in world.machines.values():
        machine.behind = -3600.0
    world.leases = dict.fromkeys(world.leases, 3600.0)
    world.show()
    when_clocks_are_set(world, world.beat)
    assert world.repair(YEAR).changed == ["clocks", "heartbeats"]
    assert told(world)


def interrupt(world: World) -> None:
    raise KeyboardInterrupt


def give_up(world: World) -> None:
    world.lab.ctx.cancel.set()


@pytest.mark.parametrize("stop", [interrupt, give_up])
def test_an_interrupted_look_says_how_to_go_on(world: World, stop: Callable[[World], None]) -> None:
    silent(world)
    world.lab.ctx.fake_clock.on_sleep = lambda: stop(world)
    with pytest.raises(Cancelled, match="repair") as caught:
        world.repair(YEAR)
    assert "snapshot restore" in caught.value.hint
    assert world.lab.ctx.cancel.is_set()
    assert asked(world) == []
    assert world.lab.ctx.fake_clock.time == pytest.approx(POLL_SECONDS)
