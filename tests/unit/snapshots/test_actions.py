"""Saving, restoring and deleting when nothing fails, and every refusal."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import re
import threading
from collections import namedtuple
from pathlib import Path

import pytest

from provision.errors import ConnectFailed, LabError, ResourceError, SnapshotError, WaitTimeout
from provision.host.memory import Prefault
from provision.lab.context import Context
from provision.node.clock import SHOW
from provision.providers.base import PAUSED, RUNNING, STOPPED
from provision.snapshots import actions, commands, journal, preconditions, preparation
from provision.snapshots.manifests import Manifest
from provision.snapshots.recovery import recover
from provision.steps.snapshot import SnapshotStep
from tests.fakes.lab import Lab, changed
from tests.fakes.node.clock import NodeClock
from tests.fakes.node.credentials import at
from tests.fakes.providers.ids import id_of
from tests.fakes.providers.snapshots import FakeVm
from tests.fakes.snapshots import YEAR, disks, healthy, prepared, running_lab, set_disks, whole

LAB_FILE = Path("lab.yaml")
Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def repairs(monkeypatch: pytest.MonkeyPatch) -> list[dt.datetime | None]:
    """Let repair do nothing; return until when each one was told that all is good."""
    done: list[dt.datetime | None] = []

    def note(ctx: Context, moment: float, good_until: dt.datetime | None) -> None:
        done.append(good_until)

    monkeypatch.setattr("provision.snapshots.repairing.repair", note)
    return done


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return running_lab(tmp_path)


def test_all_stop_then_all_are_saved_then_all_run(lab: Lab) -> None:
    manifest = actions.save(lab.ctx, "a", "first")
    verbs = [call.split()[0] for call in lab.backend.calls if " " in call]
    assert verbs == ["pause"] * 3 + ["save"] * 3 + ["resume"] * 3
    assert whole(lab) == {"a": manifest}
    assert (manifest.note, manifest.parent, manifest.live, manifest.verified) == ("first", None, True, True)
    assert manifest.pause_spread == 0.008
    assert manifest.ids == {node.name: id_of(node.name) for node in lab.ctx.inventory.nodes}
    assert [node.size for node in manifest.nodes] == [1000, 1000, 1000]
    assert (manifest.kubernetes, manifest.box) == ("1.36.3", lab.ctx.recipe.name)


def test_the_hosts_memory_is_touched_before_and_freed_as_all_stop(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = actions.save(lab.ctx, "a")
    monkeypatch.setattr(Manifest, "size", 3 * 2**30)
    monkeypatch.setattr("provision.snapshots.actions.prefaultable_mib", lambda: 2000)
    taken: list[int] = []

    class Memory(Prefault):
        def __init__(self, mib: int, cancel: threading.Event) -> None:
            assert cancel is lab.ctx.cancel
            taken.append(mib)
            super().__init__(0, cancel)

        def release(self) -> None:
            lab.backend.calls.append("release")

    monkeypatch.setattr("provision.snapshots.actions.Prefault", Memory)
    lab.backend.calls.clear()
    actions.save(lab.ctx, "b")
    # As much as the last one took, and no more than there is.
    assert (first.live, taken) == (True, [2000])
    verbs = [call.split()[0] for call in lab.backend.calls]
    assert verbs.index("release") == verbs.index("pause") - 1


def test_a_first_save_touches_what_a_new_lab_needs_and_one_without_memory_nothing(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []
    monkeypatch.setattr("provision.snapshots.actions.prefaultable_mib", lambda: 9000)
    monkeypatch.setattr(
        "provision.snapshots.actions.Prefault", lambda mib, cancel: taken.append(mib) or Prefault(0, cancel)
    )
    actions.save(lab.ctx, "a")
    monkeypatch.setattr(Manifest, "size", 3 * 2**30)
    for vm in lab.backend.vms.values():
        vm.state = STOPPED
    actions.save(lab.ctx, "b")
    assert taken == [1500 + 600 + 600, 0]


def test_a_new_node_needs_no_more_than_its_memory(lab: Lab) -> None:
    nodes = lab.ctx.inventory.nodes
    small = [dataclasses.replace(node, memory=512) for node in nodes[:2]]
    assert preconditions.likely_mib(preconditions.manifests_of(lab.ctx), small) == 1024


def test_what_happened_since_is_undone_and_the_cluster_repaired(
    lab: Lab, repairs: list[dt.datetime | None]
) -> None:
    dropped: list[bool] = []
    ctx = dataclasses.replace(lab.ctx, disconnect=lambda: dropped.append(True))
    set_disks(lab, "then")
    actions.save(ctx, "a")
    set_disks(lab, "now")
    lab.backend.calls.clear()
    assert actions.restore(ctx, "a").name == "a"
    verbs = [call.split()[0] for call in lab.backend.calls if " " in call]
    assert verbs == ["pause"] * 3 + ["revert"] * 3 + ["resume"] * 3
    assert (disks(lab), repairs, dropped) == ({"then"}, [at(YEAR)], [True])
    whole(lab)


def test_a_hypervisor_that_saves_nothing_and_says_all_is_well_is_not_believed(lab: Lab) -> None:
    def forget(call: str) -> None:
        if call == f"save {id_of('lab-w1')}":
            lab.backend.vms[id_of("lab-w1")].held.clear()

    lab.backend.after = forget
    with pytest.raises(SnapshotError, match="reported no error, but lab-w1 has no snapshot `a`"):
        actions.save(lab.ctx, "a")
    assert whole(lab) == {}


def test_machines_that_are_off_get_their_network_before_they_start(lab: Lab) -> None:
    actions.save(lab.ctx, "a")
    actions.restore(lab.ctx, "a")
    assert not lab.provider.network
    lab.backend.vms[id_of("lab-w1")].state = STOPPED
    actions.restore(lab.ctx, "a")
    assert lab.provider.network


@pytest.mark.parametrize("state", [PAUSED, STOPPED])
def test_a_lab_whose_machines_stand_still_is_put_back_too(lab: Lab, state: str) -> None:
    actions.save(lab.ctx, "a")
    lab.backend.vms[id_of("lab-w1")].state = state
    actions.restore(lab.ctx, "a")
    whole(lab)


def test_a_stopped_lab_is_saved_without_memory_and_comes_back_off(
    lab: Lab, repairs: list[dt.datetime | None]
) -> None:
    for vm in lab.backend.vms.values():
        vm.state, vm.disk = STOPPED, "then"
    manifest = actions.save(lab.ctx, "cold")
    assert (manifest.live, manifest.verified, manifest.stand_still) == (False, False, 0.0)
    assert manifest.good_until is None
    assert [runner.calls for runner in lab.runners.values()] == [[], [], []]
    for vm in lab.backend.vms.values():
        vm.state, vm.disk = RUNNING, "now"
    actions.restore(lab.ctx, "cold")
    assert {(vm.state, vm.disk) for vm in lab.backend.vms.values()} == {(STOPPED, "then")}
    assert repairs == []
    assert journal.read(lab.ctx.workspace) is None


def test_the_parent_is_the_point_the_lab_stands_on(lab: Lab) -> None:
    assert actions.save(lab.ctx, "a").parent is None
    assert actions.save(lab.ctx, "b").parent == "a"
    actions.restore(lab.ctx, "a")
    assert actions.save(lab.ctx, "c").parent == "a"
    lab.backend.vms[id_of("lab-w1")].current = "b"
    assert actions.save(lab.ctx, "d").parent is None


def test_an_unhealthy_cluster_is_saved_and_comes_back_as_it_was(
    lab: Lab, repairs: list[dt.datetime | None]
) -> None:
    healthy(lab, ready=False)
    manifest = actions.save(lab.ctx, "a")
    assert (manifest.verified, manifest.good_until) == (False, at(YEAR))
    actions.restore(lab.ctx, "a")
    # What was not well may need all of the repair, whatever is good until then.
    assert repairs == [None]
    assert any("is not Ready" in event["text"] for event in lab.report.of("warn"))


def test_a_cluster_that_does_not_get_healthy_again_is_an_error(lab: Lab) -> None:
    actions.save(lab.ctx, "a")
    healthy(lab, ready=False)
    with pytest.raises(WaitTimeout, match="not ready"):
        actions.restore(lab.ctx, "a")
    whole(lab)


def refused(lab: Lab, name: str = "a") -> LabError:
    """Return why saving is refused, having touched no machine."""
    lab.backend.calls.clear()
    with pytest.raises(LabError) as caught:
        actions.save(lab.ctx, name)
    assert not [call for call in lab.backend.calls if " " in call]
    assert journal.read(lab.ctx.workspace) is None
    assert caught.value.hint
    return caught.value


def test_a_name_that_is_taken_is_refused(lab: Lab) -> None:
    actions.save(lab.ctx, "a")
    assert "already" in refused(lab).message
    preconditions.manifests_of(lab.ctx).remove("a")
    assert "kubelab has no manifest of" in refused(lab).message


def test_too_little_disk_is_refused_in_numbers(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = sum(node.memory for node in lab.ctx.inventory.nodes)
    needed = memory + preconditions.MARGIN_MIB
    monkeypatch.setattr("shutil.disk_usage", lambda folder: Usage(0, 0, needed * 2**20 - 1))
    error = refused(lab)
    assert isinstance(error, ResourceError)
    assert re.search(rf"{needed - 1} MiB free.*{needed} MiB.*{memory} MiB of memory", error.message)
    for vm in lab.backend.vms.values():
        vm.state = STOPPED
    actions.save(lab.ctx, "a")


@pytest.mark.parametrize("state", [STOPPED, PAUSED])
def test_a_lab_of_which_only_a_part_runs_is_refused(lab: Lab, state: str) -> None:
    lab.backend.vms[id_of("lab-w1")].state = state
    assert f"lab-w1 is {state}" in refused(lab).message


def test_a_machine_that_cannot_be_saved_is_refused(lab: Lab) -> None:
    lab.backend.unfit = SnapshotError("lab-w1 starts by UEFI", hint="use a box with BIOS")
    assert refused(lab) is lab.backend.unfit


def test_a_lab_without_its_machines_is_refused(lab: Lab) -> None:
    del lab.machines.known["lab-w1"]
    assert "lab-w1 has no machine" in refused(lab).message


def test_another_machine_under_a_nodes_address_is_refused(lab: Lab) -> None:
    lab.runners["lab-w1"].script.insert(0, ("product_uuid", prepared("another")))
    assert "lab-w1's address has the id another" in refused(lab).message


def test_a_node_that_cannot_be_asked_is_saved_all_the_same(lab: Lab) -> None:
    lab.runners["lab-w1"].script.insert(0, ("product_uuid", ConnectFailed("lab-w1", "no route")))
    manifest = actions.save(lab.ctx, "a")
    assert "no route" in lab.report.of("warn")[0]["text"]
    assert whole(lab) == {"a": manifest}
    # When something in it ends nobody knows.
    assert manifest.good_until is None


@pytest.mark.parametrize(
    ("node", "ends", "expected"),
    [
        ("lab-cp1", (20, YEAR), 20),
        ("lab-w2", (20, YEAR), 20),
        ("lab-cp1", (YEAR, 30), 30),
        ("lab-w1", (YEAR, 30), 30),
        ("lab-w1", (-3, YEAR), -3),
        # A node without tokens has certificates, and the other way round.
        ("lab-w1", (20, None), 20),
        ("lab-w1", (None, 30), 30),
        ("lab-w1", (None, None), None),
    ],
)
def test_a_save_notes_when_the_first_certificate_or_token_of_any_node_ends(
    lab: Lab, node: str, ends: tuple[float | None, float | None], expected: float | None
) -> None:
    lab.runners[node].script.insert(0, ("product_uuid", prepared(id_of(node), *ends)))
    manifest = actions.save(lab.ctx, "a")
    assert manifest.good_until == (None if expected is None else at(expected))
    assert whole(lab) == {"a": manifest}


def test_a_clock_that_is_off_is_set_before_its_node_is_saved(lab: Lab) -> None:
    clock, runner = NodeClock(3600.0), lab.runners["lab-w1"]
    runner.script.insert(0, (SHOW, clock.answer))
    ahead: dict[str, float] = {}

    def note(call: str) -> None:
        ahead[call] = clock.ahead

    lab.backend.before = note
    actions.save(lab.ctx, "a")
    assert abs(ahead[f"pause {id_of('lab-w1')}"]) < 0.5
    # What a node does before it is saved measures the clock that is set by then.
    *_, step, last = runner.commands()
    assert "date -s" in step
    assert preparation.PREPARE in last


def test_a_clock_that_is_right_is_saved_as_it_is(lab: Lab) -> None:
    actions.save(lab.ctx, "a")
    for runner in lab.runners.values():
        assert runner.commands(SHOW)
        assert runner.commands("date -s") == []


def not_restored(lab: Lab, name: str = "a") -> LabError:
    lab.backend.calls.clear()
    with pytest.raises(SnapshotError) as caught:
        actions.restore(lab.ctx, name)
    assert not [call for call in lab.backend.calls if " " in call]
    assert caught.value.hint
    return caught.value


def test_restoring_is_refused_before_anything_is_touched(lab: Lab) -> None:
    assert "no snapshot `a`" in not_restored(lab).message
    actions.save(lab.ctx, "a")
    held = lab.backend.vms[id_of("lab-w1")].held
    kept = held.pop("a")
    assert "lab-w1 has no snapshot `a`" in not_restored(lab).message
    held["a"] = kept
    lab.machines.known["lab-w2"] = "another"
    assert "lab-w2 was recreated" in not_restored(lab).message
    del lab.machines.known["lab-w2"]
    assert "lab-w2 has no machine" in not_restored(lab).message
    lab.machines.make("lab-w2")
    preconditions.manifests_of(lab.ctx).path("a").write_text("{")
    assert "broken" in not_restored(lab).message


def test_a_snapshot_of_other_nodes_is_refused(lab: Lab) -> None:
    manifest = actions.save(lab.ctx, "a")
    store = preconditions.manifests_of(lab.ctx)
    store.write(manifest.model_copy(update={"nodes": manifest.nodes[:2]}))
    refused = not_restored(lab)
    assert "`a` was saved before lab-w2 came" in refused.message
    assert "set workers.count to 1 and run kubelab up" in refused.hint
    gone = manifest.nodes[1].model_copy(update={"name": "lab-w3"})
    store.write(manifest.model_copy(update={"nodes": (*manifest.nodes, gone)}))
    refused = not_restored(lab)
    assert "`a` was saved with lab-w3, which the lab has no more" in refused.message
    assert "kubelab snapshot delete a" in refused.hint


def test_a_worker_that_is_still_to_leave_would_be_left_behind(lab: Lab) -> None:
    actions.save(lab.ctx, "a")
    lab.provider.folder, lab.provider.stray = lab.ctx.workspace.root, ["lab-w3"]
    refused = not_restored(lab)
    assert "the lab has lab-w3 too" in refused.message
    assert "kubelab up removes it" in refused.hint
    with pytest.raises(SnapshotError, match="lab-w3"):
        actions.save(lab.ctx, "b")


def test_save_first_is_not_done_for_a_restore_that_cannot_be(lab: Lab) -> None:
    with pytest.raises(SnapshotError):
        commands.restore(lab.ctx, "nope", LAB_FILE, "before")
    assert preconditions.manifests_of(lab.ctx).all() == ({}, {})


@pytest.fixture
def proved(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Let the quick checks be green; return the lab files they were run for."""
    files: list[Path] = []

    def prove(ctx: Context, file: Path) -> float:
        files.append(file)
        return 7.5

    monkeypatch.setattr(commands, "prove", prove)
    return files


def test_a_restore_ends_with_the_quick_checks(lab: Lab, proved: list[Path]) -> None:
    actions.save(lab.ctx, "a")
    commands.restore(lab.ctx, "a", LAB_FILE)
    assert proved == [LAB_FILE]
    assert lab.report.of("result")[-1]["data"]["verify_seconds"] == 7.5


def test_a_lab_that_is_off_has_nothing_to_check(lab: Lab, proved: list[Path]) -> None:
    for vm in lab.backend.vms.values():
        vm.state = STOPPED
    actions.save(lab.ctx, "a")
    commands.restore(lab.ctx, "a", LAB_FILE)
    assert proved == []


def test_save_first_keeps_what_is_left(lab: Lab, proved: list[Path]) -> None:
    set_disks(lab, "then")
    actions.save(lab.ctx, "a")
    set_disks(lab, "now")
    commands.restore(lab.ctx, "a", LAB_FILE, "before")
    assert disks(lab) == {"then"}
    actions.restore(lab.ctx, "before")
    assert disks(lab) == {"now"}


def test_a_parent_is_not_deleted_without_its_children(lab: Lab) -> None:
    for name in ("a", "b", "c"):
        actions.save(lab.ctx, name)
    with pytest.raises(SnapshotError, match="based on it: b, c") as caught:
        commands.delete(lab.ctx, ["a"], children=False)
    assert "--children" in caught.value.hint
    assert set(whole(lab)) == {"a", "b", "c"}
    commands.delete(lab.ctx, ["a", "b", "c"], children=False)
    assert whole(lab) == {}
    # What was saved last goes first.
    assert lab.report.of("result")[-1]["data"] == {"deleted": ["c", "b", "a"]}


def test_children_go_first_when_told_so(lab: Lab) -> None:
    for name in ("a", "b", "c"):
        actions.save(lab.ctx, name)
    actions.restore(lab.ctx, "a")
    actions.save(lab.ctx, "d")
    commands.delete(lab.ctx, ["b"], children=True)
    assert set(whole(lab)) == {"a", "d"}


def test_the_newest_are_kept_and_ready(lab: Lab) -> None:
    for name in ("ready", "a", "b", "c"):
        actions.save(lab.ctx, name)
    commands.delete_oldest(lab.ctx, 1)
    known = whole(lab)
    assert {name: manifest.parent for name, manifest in known.items()} == {"ready": None, "c": "ready"}
    commands.delete_oldest(lab.ctx, 5)
    commands.delete_oldest(lab.ctx, 0)
    assert set(whole(lab)) == {"ready"}


def test_what_no_manifest_speaks_of_is_deleted_and_a_manifest_without_a_snapshot(lab: Lab) -> None:
    actions.save(lab.ctx, "a")
    actions.save(lab.ctx, "b")
    preconditions.manifests_of(lab.ctx).remove("a")
    for vm in lab.backend.vms.values():
        del vm.held["b"]
    commands.delete(lab.ctx, ["a", "b"], children=False)
    assert whole(lab) == {}


def test_a_hypervisor_that_says_deleted_and_deletes_nothing_is_told(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    actions.save(lab.ctx, "a")
    with monkeypatch.context() as lying:
        lying.setattr(lab.backend, "delete", lambda machine, name: None)
        with pytest.raises(SnapshotError, match="lab-cp1, lab-w1, lab-w2 still has the snapshot `a`"):
            actions.delete(lab.ctx, "a")
    assert set(preconditions.manifests_of(lab.ctx).all()[0]) == {"a"}
    recover(lab.ctx)
    assert whole(lab) == {}


def test_deleting_what_is_not_there_is_refused(lab: Lab) -> None:
    with pytest.raises(SnapshotError, match="no snapshot `a`"):
        commands.delete(lab.ctx, ["a"], children=False)


class TestReady:
    def test_it_is_taken_once(self, lab: Lab) -> None:
        assert lab.run(SnapshotStep()) == ["snapshot"]
        assert set(whole(lab)) == {"ready"}
        assert lab.run(SnapshotStep()) == []

    def test_it_is_taken_again_for_new_machines(self, lab: Lab) -> None:
        lab.run(SnapshotStep())
        lab.machines.known["lab-w1"] = id_of("another")
        del lab.backend.vms[id_of("lab-w1")]
        lab.backend.vms[id_of("another")] = FakeVm()
        lab.runners["lab-w1"].script.insert(0, ("product_uuid", prepared(id_of("another"))))
        assert lab.run(SnapshotStep()) == ["snapshot"]
        assert set(whole(lab)) == {"ready"}

    def test_that_of_a_newer_kubelab_is_left_alone(self, lab: Lab) -> None:
        lab.run(SnapshotStep())
        file = preconditions.manifests_of(lab.ctx).path("ready")
        file.write_text(json.dumps(json.loads(file.read_text()) | {"later": 1}))
        assert lab.run(SnapshotStep()) == []
        assert "later" in file.read_text()

    def test_it_is_taken_again_when_its_manifest_is_gone_or_broken(self, lab: Lab) -> None:
        lab.run(SnapshotStep())
        file = preconditions.manifests_of(lab.ctx).path("ready")
        file.write_text("{")
        assert lab.run(SnapshotStep()) == ["snapshot"]
        file.unlink()
        assert lab.run(SnapshotStep()) == ["snapshot"]
        whole(lab)

    def test_a_provider_without_snapshots_has_nothing_to_do(self, tmp_path: Path) -> None:
        lab = running_lab(tmp_path)
        other = lab.ctx.config.model_copy(update={"provider": "hosts"})
        ctx = dataclasses.replace(lab.ctx, config=other)
        assert dataclasses.replace(lab, ctx=ctx).run(SnapshotStep()) == []
        assert lab.backend.calls == []


def test_machines_are_restored_without_a_bundle_and_what_is_missing_is_said(lab: Lab) -> None:
    actions.save(lab.ctx, "old")
    set_disks(lab, "now")
    ctx = changed(lab.ctx, find_bundle=lambda: None)
    with pytest.raises(LabError, match=r"restored to `old` and run.*kubectl is missing") as caught:
        actions.restore(ctx, "old")
    assert caught.value.hint == "kubelab up"
    assert {vm.state for vm in lab.backend.vms.values()} == {RUNNING}
    assert journal.read(ctx.workspace) is None


def test_a_lab_with_names_of_its_own_is_saved_by_machine_and_restored(tmp_path: Path) -> None:
    lab = running_lab(tmp_path, nodes={"lab-cp1": {"name": "m-k8s"}, "lab-w1": {"name": "w1-k8s"}})
    manifest = actions.save(lab.ctx, "a")
    assert manifest.ids == {machine: id_of(machine) for machine in ("lab-cp1", "lab-w1", "lab-w2")}
    set_disks(lab, "later")
    assert actions.restore(lab.ctx, "a") == manifest
    assert disks(lab) == {"now"}
    assert whole(lab) == {"a": manifest}
    del lab.backend.vms[id_of("lab-w1")].held["a"]
    with pytest.raises(SnapshotError, match=r"^w1-k8s has no snapshot `a`"):
        actions.restore(lab.ctx, "a")
    actions.delete(lab.ctx, "a")
    assert whole(lab) == {}


def test_a_snapshot_of_other_nodes_is_refused_by_their_names(tmp_path: Path) -> None:
    lab = running_lab(tmp_path, nodes={"lab-w2": {"name": "w2-k8s"}})
    saved = actions.save(lab.ctx, "a")
    store = preconditions.manifests_of(lab.ctx)
    store.write(saved.model_copy(update={"nodes": saved.nodes[:2]}))
    with pytest.raises(SnapshotError, match="saved before w2-k8s came") as caught:
        actions.restore(lab.ctx, "a")
    assert "set workers.count to 1" in caught.value.hint
    other = saved.nodes[2].model_copy(update={"id": id_of("another")})
    store.write(saved.model_copy(update={"nodes": (*saved.nodes[:2], other)}))
    with pytest.raises(SnapshotError, match="no longer exist: w2-k8s was recreated"):
        actions.restore(lab.ctx, "a")
