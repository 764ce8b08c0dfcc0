from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from provision.cluster.draining import MARK
from provision.errors import ConfigDrift, StepFailed, WaitTimeout
from provision.lifecycle.consent import require_consent
from provision.providers.base import PAUSED, RUNNING, STOPPED, Size
from provision.steps.members import MembersStep
from provision.steps.sizes import SizesStep
from tests.fakes.lab import Lab
from tests.fakes.power import set_machines, stoppable_lab
from tests.fakes.providers.ids import id_of

W1, W2, CP1 = id_of("lab-w1"), id_of("lab-w2"), id_of("lab-cp1")
REFUSES = "error: cannot delete Pods that declare no controller: default/typo"


def told(lab: Lab, name: str, boot: str, *, ready: bool = True, cordoned: bool = False) -> None:
    """Let the API server tell of a node."""
    node = {
        "kind": "Node",
        "metadata": {"name": name},
        "spec": {"unschedulable": True} if cordoned else {},
        "status": {
            "nodeInfo": {"bootID": boot},
            "conditions": [{"type": "Ready", "status": str(ready)}],
        },
    }
    lab.kubectl.answer(f"get node {name} -o json", json.dumps(node))


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A lab whose workers have less memory than lab.yaml says; a machine that starts boots anew."""
    made = stoppable_lab(tmp_path)
    sizes = {node.name: Size(node.cpus, node.memory, node.disk) for node in made.ctx.inventory.nodes}
    smaller = {name: dataclasses.replace(sizes[name], memory=1536) for name in ("lab-w1", "lab-w2")}
    made.provider.sizes = sizes | smaller
    made.kubectl.answer("patch node *")
    made.kubectl.answer("drain *")
    made.kubectl.answer("get nodes -o json", json.dumps({"items": []}))
    for name in made.machines.known:
        told(made, name, "first")
    begin = made.provider.start

    def start(machine: str) -> None:
        begin(machine)
        (name,) = [name for name, known in made.machines.known.items() if known == machine]
        told(made, name, "second")

    made.provider.start = start  # type: ignore[method-assign]
    return made


def done(lab: Lab) -> list[tuple[str, object]]:
    """Return what was done to machines, without further presses of a button."""
    return list(dict.fromkeys(lab.provider.calls))


def test_machines_are_restarted_one_after_the_other(lab: Lab) -> None:
    assert lab.run(SizesStep()) == ["sizes"]
    assert done(lab) == [
        ("shut_down", W1),
        ("resize", (W1, 2, 2048)),
        ("start", W1),
        ("shut_down", W2),
        ("resize", (W2, 2, 2048)),
        ("start", W2),
    ]
    assert lab.run(SizesStep()) == []


def test_pods_are_moved_away_before_and_let_in_again_after(lab: Lab) -> None:
    lab.run(SizesStep())
    calls = [call for call in lab.kubectl.calls if "lab-w1" in call]
    words = [" ".join(call.split()[:2]) for call in calls]
    assert words.index("drain lab-w1") > words.index("patch node")
    patches = [call.partition(" -p ")[2] for call in calls if "patch" in call]
    assert [json.loads(text) for text in patches] == [
        {"metadata": {"annotations": {MARK: "true"}}, "spec": {"unschedulable": True}},
        {"metadata": {"annotations": {MARK: None}}, "spec": {"unschedulable": None}},
    ]
    # Pods that would be lost, or their data, are left to start again with their node.
    (drain,) = [call for call in calls if call.startswith("drain")]
    assert "--force" not in drain
    assert "--delete-emptydir-data" not in drain


def test_pods_that_do_not_move_keep_no_machine_from_its_size(lab: Lab) -> None:
    lab.kubectl.answer("drain lab-w1 *", stderr=REFUSES, code=1)
    assert lab.run(SizesStep()) == ["sizes"]
    (said,) = [event["text"] for event in lab.report.of("info") if "not all pods" in event["text"]]
    assert "default/typo" in said
    assert ("resize", (W1, 2, 2048)) in lab.provider.calls


def test_a_node_that_the_user_cordoned_stays_so(lab: Lab) -> None:
    told(lab, "lab-w1", "first", cordoned=True)
    lab.run(SizesStep())
    assert [call for call in lab.kubectl.calls if call.startswith("patch node lab-w1")] == []


def test_a_control_plane_is_not_drained(lab: Lab) -> None:
    lab.provider.sizes |= {"lab-cp1": Size(4, 3072, 12), "lab-w1": Size(2, 2048, 12)}
    lab.run(SizesStep())
    assert ("resize", (CP1, 2, 3072)) in lab.provider.calls
    assert [call for call in lab.kubectl.calls if call.startswith("drain")] == [
        call for call in lab.kubectl.calls if call.startswith("drain lab-w2")
    ]


def test_a_machine_that_is_off_gets_its_size_and_stays_off(lab: Lab) -> None:
    set_machines(lab, STOPPED)
    assert lab.run(SizesStep()) == ["sizes"]
    assert done(lab) == [("resize", (W1, 2, 2048)), ("resize", (W2, 2, 2048))]


def test_a_machine_that_stands_still_is_let_run_to_heed_its_button(lab: Lab) -> None:
    set_machines(lab, PAUSED, "lab-w1")
    lab.run(SizesStep())
    assert lab.provider.calls[:2] == [("resume", [W1]), ("shut_down", W1)]


def test_a_machine_that_does_not_heed_its_button_is_switched_off_and_told(lab: Lab) -> None:
    lab.provider.deaf = {W1}
    lab.ctx.fake_clock.speed = 10
    lab.run(SizesStep())
    assert ("power_off", W1) in lab.provider.calls
    assert "lab-w1 did not shut down" in lab.report.of("warn")[0]["text"]


@pytest.mark.parametrize("stuck", ["first", "NotReady"])
def test_a_node_that_does_not_come_back_ends_it_before_the_next_is_touched(lab: Lab, stuck: str) -> None:
    begin: Callable[[str], None] = type(lab.provider).start.__get__(lab.provider)

    def start(machine: str) -> None:
        begin(machine)
        told(lab, "lab-w1", "first" if stuck == "first" else "second", ready=stuck == "first")

    lab.provider.start = start  # type: ignore[method-assign]
    lab.ctx.fake_clock.speed = 30
    with pytest.raises(StepFailed, match="lab-w1 with its new size") as caught:
        lab.run(SizesStep())
    assert isinstance(caught.value.cause, WaitTimeout)
    assert ("resize", (W2, 2, 2048)) not in lab.provider.calls


def test_the_plan_names_machines_and_both_values(lab: Lab) -> None:
    assert SizesStep().plan(lab.ctx) == (
        "restart lab-w1, lab-w2 one after the other (workers.memory 1536MiB -> 2GiB)"
    )


# What a killed `up` left

MARKED = {"kind": "Node", "metadata": {"name": "lab-w1", "annotations": {MARK: "true"}}}


def test_a_node_that_a_killed_up_left_cordoned_is_let_go(lab: Lab) -> None:
    lab.kubectl.answer("get nodes -o json", json.dumps({"items": [MARKED]}))
    assert not MembersStep().is_done(lab.ctx)
    MembersStep().apply(lab.ctx)
    assert any(call.startswith("patch node lab-w1") for call in lab.kubectl.calls)


# Consent


def test_without_somebody_to_ask_nothing_is_touched_and_the_way_is_told(lab: Lab) -> None:
    with pytest.raises(ConfigDrift) as caught:
        require_consent(lab.ctx, None)
    assert (caught.value.exit_code, caught.value.key) == (2, "workers.memory")
    assert "the lab has 1536MiB (lab-w1, lab-w2), lab.yaml says 2GiB" in str(caught.value)
    assert "lab-w1, lab-w2 would be restarted" in str(caught.value)
    assert "kubelab up --restart" in caught.value.hint
    assert lab.provider.calls == []


@pytest.mark.parametrize("answer", [True, False])
def test_who_is_asked_decides(lab: Lab, answer: bool) -> None:
    asked: list[str] = []

    def ask(question: str) -> bool:
        asked.append(question)
        return answer

    if answer:
        require_consent(lab.ctx, ask)
    else:
        with pytest.raises(ConfigDrift):
            require_consent(lab.ctx, ask)
    assert asked == ["Restart lab-w1, lab-w2, one after the other?"]


def test_machines_that_are_off_need_no_consent(lab: Lab) -> None:
    set_machines(lab, STOPPED)
    require_consent(lab.ctx, None)
    set_machines(lab, RUNNING, "lab-w2")
    with pytest.raises(ConfigDrift, match="lab-w2 would be restarted"):
        require_consent(lab.ctx, None)
