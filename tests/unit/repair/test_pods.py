from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from provision.errors import StepFailed
from provision.repair.hanging import MIRROR, hanging
from tests.fakes.cluster.objects import node, pod, stamp
from tests.fakes.node.credentials import NOW
from tests.fakes.repair import World, make_world

RECENT = -5.0


def conditions(seconds: float, status: str = "False") -> list[dict[str, str]]:
    return [{"type": "Ready", "status": status, "lastTransitionTime": stamp(seconds)}]


def waiting(reason: str) -> list[dict[str, Any]]:
    return [{"name": "c", "state": {"waiting": {"reason": reason}}}]


def unready(name: str = "web-1", **keys: Any) -> dict[str, Any]:
    return pod(name, conditions=conditions(RECENT), **keys)


def ending(seconds: float, **keys: Any) -> dict[str, Any]:
    made = pod(**keys)
    made["metadata"]["deletionTimestamp"] = stamp(seconds)
    return made


def hangs(item: dict[str, Any], *, ready: str = "True") -> list[str]:
    return [found.hangs for found in hanging([node("lab-w1", ready), item], NOW, NOW)]


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (pod(), []),
        (pod(conditions=conditions(-3600)), []),
        (unready(), ["not Ready"]),
        (unready(phase="Succeeded"), []),
        (unready(phase="Failed"), []),
        (unready(phase="Unknown"), ["Unknown"]),
        (unready(phase="Pending", containerStatuses=[]), ["ContainerCreating"]),
        (unready(phase="Pending", containerStatuses=waiting("ContainerCreating")), ["ContainerCreating"]),
        (unready(phase="Pending", containerStatuses=waiting("ImagePullBackOff")), []),
        (unready(containerStatuses=waiting("CrashLoopBackOff")), []),
        (unready(containerStatuses=waiting("CrashLoopBackOff"), namespace="kube-system"), ["not Ready"]),
        (unready(containerStatuses=waiting("RunContainerError")), ["RunContainerError"]),
        (
            unready(
                phase="Pending",
                containerStatuses=waiting("PodInitializing"),
                initContainerStatuses=[{"name": "i", "state": {"running": {}}}],
            ),
            [],
        ),
        (ending(20), []),
        (ending(-20), ["Terminating"]),
        (ending(-3600), []),
        (ending(20, namespace="kube-system"), ["Terminating"]),
    ],
)
def test_what_hangs_and_what_was_so_before(item: dict[str, Any], expected: list[str]) -> None:
    assert hangs(item) == expected


def test_pods_without_a_ready_node_are_not_ours() -> None:
    assert hangs(unready(), ready="False") == []
    unscheduled = unready(phase="Pending", containerStatuses=[])
    del unscheduled["spec"]["nodeName"]
    assert hangs(unscheduled) == []


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def test_a_pod_that_comes_by_itself_is_waited_for_and_left_alone(world: World) -> None:
    world.pods = [unready()]
    world.show()
    world.later(4, world.pods.clear)
    assert world.repair().changed == ["pods"]
    assert world.writes() == []
    assert world.lab.ctx.fake_clock.time == 4


def test_a_pod_that_hangs_is_deleted_once_where_a_controller_makes_another(world: World) -> None:
    world.pods = [unready()]
    world.show()
    world.later(20, world.pods.clear)
    assert world.repair().changed == ["pods"]
    (write,) = world.writes()
    assert write.startswith("delete pod --namespace=default ")
    assert write.endswith(" -- web-1")
    assert "--force" not in write


def test_a_name_that_the_api_server_tells_is_never_an_option_of_kubectl(world: World) -> None:
    world.pods = [unready("--server=https://203.0.113.1")]
    world.show()
    world.later(20, world.pods.clear)
    world.repair()
    (write,) = world.writes()
    assert write.endswith(" -- --server=https://203.0.113.1")


def test_a_pod_that_does_not_end_is_forced_to(world: World) -> None:
    world.pods = [ending(-1)]
    world.show()
    world.later(20, world.pods.clear)
    world.repair()
    (write,) = world.writes()
    assert "--force" in write


def test_a_pod_without_a_controller_is_told_and_never_deleted(world: World) -> None:
    world.pods = [unready(owner="")]
    world.show()
    assert world.repair().changed == ["pods"]
    assert world.writes() == []
    assert "default/web-1" in str(world.lab.report.events)


def test_a_pod_of_the_users_that_never_comes_does_not_fail_the_repair(world: World) -> None:
    world.pods = [unready()]
    world.show()
    world.repair()
    assert len(world.writes()) == 1
    assert "still hangs" in str(world.lab.report.events)


def test_a_pod_of_the_system_that_never_comes_is_an_error(world: World) -> None:
    world.pods = [unready("coredns-1", namespace="kube-system")]
    world.show()
    with pytest.raises(StepFailed, match="kube-system/coredns-1") as caught:
        world.repair()
    assert "describe pods" in caught.value.hint


def test_a_static_pod_is_never_deleted(world: World) -> None:
    static = unready("etcd-lab-cp1", namespace="kube-system", owner="Node")
    static["metadata"]["annotations"] = {MIRROR: "digest"}
    world.pods = [static]
    world.show()
    world.later(100, world.pods.clear)
    with pytest.raises(StepFailed, match="etcd-lab-cp1"):
        world.repair()
    assert world.writes() == []
