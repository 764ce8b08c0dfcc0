"""What the checks of the add-ons make of a cluster's answers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from provision.checks import test_addons as addons
from provision.checks import test_services as services
from provision.errors import ToolFailed
from tests.fakes.engine import FakeClock
from tests.unit.checks.test_walk_checks import FakeWalk


class Keeping(FakeWalk):
    """A cluster whose volumes keep what was written, or lose it with the pod."""

    def __init__(self, *, keeps: bool = True) -> None:
        super().__init__(addons=("storage",))
        self.keeps, self.volume, self.pods = keeps, "", 0
        self.kubectl.text = self.text
        self.kubectl.delete = lambda *words: None if keeps else setattr(self, "volume", "")

    def text(self, *words: str) -> str:
        if addons.WRITE in words:
            self.volume = f"{words[-2]}\n"
        return self.volume

    def ready_pod(self, name: str, timeout: float) -> dict[str, Any]:
        self.pods += 1
        return {"metadata": {"name": name, "uid": str(self.pods)}}


def test_a_volume_that_keeps_its_data_is_right() -> None:
    walk = Keeping()
    addons.test_a_claim_gets_a_volume_whose_data_outlives_its_pod(walk)  # type: ignore[arg-type]
    kinds = [
        item["kind"] for items in walk.applied for item in (items if isinstance(items, list) else [items])
    ]
    assert kinds == ["PersistentVolumeClaim", "Pod", "Pod"]


def test_a_volume_that_goes_with_its_pod_is_wrong() -> None:
    with pytest.raises(AssertionError, match="the next pod reads ''"):
        addons.test_a_claim_gets_a_volume_whose_data_outlives_its_pod(Keeping(keeps=False))  # type: ignore[arg-type]


def test_without_the_addon_in_lab_yaml_nothing_is_asked() -> None:
    walk = FakeWalk()
    with pytest.raises(pytest.skip.Exception, match="does not have the add-on storage"):
        addons.test_a_claim_gets_a_volume_whose_data_outlives_its_pod(walk)  # type: ignore[arg-type]
    assert walk.applied == []


def top(*answers: str) -> None:
    """Run the check with these answers of `kubectl top nodes`, the last one again and again."""
    left, clock = list(answers), FakeClock()
    lab = SimpleNamespace(
        config=SimpleNamespace(addons=("metrics-server",)),
        nodes=[SimpleNamespace(name="lab-cp1"), SimpleNamespace(name="lab-w1")],
        scaled=lambda seconds: seconds,
        context=SimpleNamespace(clock=clock),
    )

    def text(*words: str) -> str:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if answer == "failed":
            raise ToolFailed(["kubectl", "top"], 1, "Metrics API not available")
        return answer

    addons.test_top_answers_for_every_node(lab, SimpleNamespace(text=text))  # type: ignore[arg-type]


CP1, W1 = "lab-cp1   100m   5%   900Mi   30%\n", "lab-w1   50m   2%   400Mi   20%\n"


def test_top_may_take_its_time_to_tell_of_every_node() -> None:
    top("failed", CP1, f"{CP1}lab-w1   <unknown>   <unknown>   <unknown>   <unknown>\n", CP1 + W1)


@pytest.mark.parametrize(("answer", "why"), [(CP1, "the use of lab-cp1, not"), ("failed", "not available")])
def test_a_node_that_top_never_tells_of_is_named(answer: str, why: str) -> None:
    with pytest.raises(AssertionError, match=why):
        top(answer)


@pytest.mark.parametrize(("answer", "right"), [("lab-w1", True), ("something else", False)])
def test_a_load_balancer_of_lab_yaml_is_asked_though_nothing_of_it_is_there(answer: str, right: bool) -> None:
    walk = FakeWalk({"http://192.168.60.192/": answer}, addons=("loadbalancer",))
    walk.found = {"status": {"loadBalancer": {"ingress": [{"ip": "192.168.60.192"}]}}}
    if right:
        services.test_a_load_balancer_gives_an_address_that_answers_the_host(walk)  # type: ignore[arg-type]
        return
    with pytest.raises(AssertionError, match="something else"):
        services.test_a_load_balancer_gives_an_address_that_answers_the_host(walk)  # type: ignore[arg-type]
