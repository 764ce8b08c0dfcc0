"""The examples for users, over a lab in memory: green, red where they should be, and nothing is left."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from provision.snapshots import actions, repairing
from tests.fakes.testing import World, make_world

pytest_plugins = ["pytester"]
EXAMPLES = Path(__file__).parents[3] / "examples" / "tests"
OPTIONS = ("-p", "provision.testing.plugin", "-p", "no:cacheprovider", "--strict-markers", "-rA")


@pytest.fixture
def world(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> World:
    """Return the lab that the examples run on; they are in the current folder."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.setattr(repairing, "repair", lambda ctx, moment, good_until: None)
    made = make_world(pytester.path / "lab")
    monkeypatch.setattr("provision.testing.lab.open_under_test", lambda file: made.opened())
    (pytester.path / "lab.yaml").write_text("name: lab\nworkers: {count: 2}\n")
    shutil.copytree(EXAMPLES, pytester.path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    actions.save(made.lab.ctx, "ready")
    return made


def red(pytester: pytest.Pytester, file: str = "") -> set[str]:
    """Run the examples, or those of one file; return the names of those that fail."""
    result = pytester.runpytest_inprocess(*OPTIONS, f"tests/{file}")
    assert set(result.parseoutcomes()) <= {"passed", "failed"}
    lines = [line for line in result.outlines if line.startswith("FAILED ")]
    return {line.partition("::")[2].partition(" ")[0] for line in lines}


def test_they_pass_and_leave_nothing(pytester: pytest.Pytester, world: World) -> None:
    lab = world.lab
    assert red(pytester) == set()
    assert world.objects == {f"node  {node.name}" for node in lab.ctx.inventory.nodes}
    assert world.usable == {"lab-w1", "lab-w2"}
    assert [set(vm.held) for vm in lab.backend.vms.values()] == [{"ready"}] * 3
    assert not any(node.path("stopped").exists() for node in world.nodes.values())


def unforwarded(world: World) -> None:
    world.nodes["lab-w1"].program("sysctl", "echo 0")


def unreverted(world: World) -> None:
    world.reverts = False


def faulty(what: str) -> Callable[[World], None]:
    return lambda world: world.break_cluster(what)


FAULTS: dict[str, tuple[Callable[[World], None], set[str]]] = {
    "every_node": (unforwarded, {"test_packets_are_forwarded[lab-w1]"}),
    "two_nodes": (faulty("network"), {"test_a_pod_is_reached_from_another_node"}),
    "drain": (faulty("scheduling"), {"test_the_pod_of_a_drained_worker_moves"}),
    "custom_resource": (
        faulty("schema"),
        {"test_a_widget_without_a_size_gets_the_default", "test_a_widget_that_is_too_small_is_refused"},
    ),
    "undo": (unreverted, {"test_a_change_that_went_wrong_is_undone"}),
}


def test_every_example_has_a_fault() -> None:
    assert {file.stem.removeprefix("test_") for file in EXAMPLES.glob("*.py")} == set(FAULTS)


@pytest.mark.parametrize("example", FAULTS)
def test_it_is_red_when_what_it_is_about_does_not_work(
    pytester: pytest.Pytester, world: World, example: str
) -> None:
    spoil, expected = FAULTS[example]
    spoil(world)
    assert red(pytester, f"test_{example}.py") == expected
