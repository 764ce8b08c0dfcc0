from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from provision.artifacts import sites
from provision.artifacts.bundle import write_index
from provision.artifacts.release.origin import Release
from provision.artifacts.source import origin as source
from provision.artifacts.wanted import NOTHING, Wanted
from provision.cni.choose import wanted_of
from provision.config.cni import CniConfig
from provision.config.schema import ClusterConfig, parse_config
from provision.errors import LabError, MadeByNewer
from provision.lab.artifacts import Chosen, choose_for
from provision.lab.decision import Decision, read_decision
from provision.report.base import RecordingReporter
from provision.steps.decision import DecisionStep
from provision.workspace import Workspace
from tests.fakes.lab import make_lab

CALICO = wanted_of(CniConfig(name="calico"))
BUILT = source.resolve("1.36")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KUBELAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache/bundles"


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path / "lab", "lab")
    workspace.prepare()
    return workspace


def put(cache: Path, origin: Release | source.Source) -> None:
    """Put an empty bundle of `origin` into the cache."""
    folder = cache / origin.key
    folder.mkdir(parents=True)
    write_index(folder, kubernetes=origin.kubernetes, source=origin.kind, recipe=origin.key, entries=[])


def lab(text: str = "") -> ClusterConfig:
    return parse_config(f'name: lab\nkubernetes: "1.36"\n{text}')


def choose(config: ClusterConfig, space: Workspace) -> Chosen:
    return choose_for(config, space, RecordingReporter())


def settle(space: Workspace, *, machines: bool = True, text: str = "") -> Decision:
    """Decide for a lab, and keep that as `up` does."""
    decision = choose(lab(text), space).decision
    decision.write(space.decision)
    if machines:
        file = space.machine_id_file("lab-cp1", "libvirt")
        file.parent.mkdir(parents=True)
        file.write_text("id")
    return decision


def released(version: str, wanted: Wanted = NOTHING) -> Release:
    return Release(version, sites.PUBLIC, wanted)


@pytest.mark.parametrize("machines", [True, False])
def test_a_newer_bundle_in_the_cache_changes_no_lab_that_is_there(
    cache: Path, space: Workspace, machines: bool
) -> None:
    put(cache, BUILT)
    settle(space, machines=machines)
    put(cache, released("1.36.99", CALICO))
    chosen = choose(lab(), space)
    assert (chosen.artifacts.kubernetes, chosen.artifacts.key) == (BUILT.kubernetes, BUILT.key)
    assert (chosen.artifacts.kind, chosen.cni.name) == ("source", "bridge")
    assert choose(lab(), Workspace(space.root, "another")).cni.name == "calico"


def test_the_same_holds_within_one_way(cache: Path, space: Workspace) -> None:
    put(cache, released("1.36.4"))
    settle(space, text="artifacts: release\ncni: bridge")
    put(cache, released("1.36.5"))
    assert choose(lab("artifacts: release\ncni: bridge"), space).artifacts.kubernetes == "1.36.4"


def test_a_lab_of_calico_stays_one_without_its_site_and_its_bundle(cache: Path, space: Workspace) -> None:
    put(cache, released("1.36.4", CALICO))
    decision = settle(space)
    (cache / released("1.36.4", CALICO).key).rename(cache / "gone")
    # Every question to the network would be refused.
    chosen = choose(lab(), space)
    assert chosen.decision == decision
    assert chosen.artifacts.find() is None


def test_without_machines_and_bundle_it_is_decided_anew(cache: Path, space: Workspace) -> None:
    put(cache, released("1.36.4", CALICO))
    settle(space, machines=False)
    (cache / released("1.36.4", CALICO).key).rename(cache / "gone")
    put(cache, BUILT)
    assert choose(lab(), space).artifacts.key == BUILT.key


def test_a_bundle_is_kept_that_would_be_made_in_another_way_now(
    cache: Path, space: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(cache, BUILT)
    old = BUILT.key
    settle(space)
    monkeypatch.setattr(source, "RECIPE", 99)
    assert source.resolve("1.36").key != old
    assert choose(lab(), space).artifacts.key == old
    # Also where this version of kubelab does not know it any more.
    monkeypatch.setattr(source, "versions", lambda: {})
    found = choose(lab(), space)
    assert (found.artifacts.key, found.artifacts.kubernetes) == (old, BUILT.kubernetes)
    assert found.decision == read_decision(space.decision)


@pytest.mark.parametrize(
    ("text", "kind", "cni"),
    [("artifacts: release", "release", "bridge"), ("cni: none", "source", "none"), ("", "source", "bridge")],
)
def test_what_lab_yaml_names_itself_comes_first(
    cache: Path, space: Workspace, text: str, kind: str, cni: str
) -> None:
    put(cache, BUILT)
    settle(space, text="cni: bridge")
    chosen = choose(lab(text), space)
    assert (chosen.artifacts.kind, chosen.artifacts.kubernetes) == (kind, BUILT.kubernetes)
    assert chosen.cni.name == cni


def test_another_cni_before_there_are_machines_finds_another_bundle(cache: Path, space: Workspace) -> None:
    put(cache, BUILT)
    put(cache, released(BUILT.kubernetes, CALICO))
    settle(space, machines=False, text="cni: bridge")
    chosen = choose(lab("artifacts: release\ncni: calico"), space)
    assert chosen.artifacts.key == released(BUILT.kubernetes, CALICO).key


def test_another_version_is_another_decision(cache: Path, space: Workspace) -> None:
    put(cache, BUILT)
    settle(space)
    put(cache, source.resolve("1.35"))
    other = parse_config('name: lab\nkubernetes: "1.35"\n')
    assert choose(other, space).artifacts.kubernetes == source.resolve("1.35").kubernetes


# The file


def test_the_file_holds_what_was_decided(cache: Path, space: Workspace) -> None:
    put(cache, BUILT)
    decision = settle(space, text="packages: [vim]")
    assert json.loads(space.decision.read_text()) == {
        "format": 1,
        "kubernetes": BUILT.kubernetes,
        "artifacts": "source",
        "bundle": BUILT.key,
        "cni": "bridge",
        "pods": "10.244.0.0/16",
        "services": "10.96.0.0/12",
        "packages": ["vim"],
    }
    assert read_decision(space.decision) == decision
    assert [path.name for path in space.state.iterdir()] == ["decision.json"]
    assert stat.S_IMODE(space.state.stat().st_mode) == 0o700


@pytest.mark.parametrize("change", [{"format": 2}, {"more": "x"}])
def test_what_a_newer_kubelab_decided_is_left_to_it(
    cache: Path, space: Workspace, change: dict[str, object]
) -> None:
    put(cache, BUILT)
    settle(space)
    text = json.dumps(json.loads(space.decision.read_text()) | change)
    space.decision.write_text(text)
    with pytest.raises(MadeByNewer, match="was made by a newer kubelab") as caught:
        choose_for(lab(), space, RecordingReporter())
    assert "delete" not in caught.value.hint
    assert space.decision.read_text() == text


@pytest.mark.parametrize(
    "change",
    [
        {"format": 0},
        {"kubernetes": "1.36"},
        {"kubernetes": "1.36.3\n"},
        {"artifacts": "auto"},
        {"bundle": "../../etc"},
        {"bundle": "A" * 64},
        {"cni": "../x"},
        {"cni": 3},
        {"pods": "10.244.0.0/16\n"},
        {"services": "all"},
        {"packages": "vim"},
        {"packages": ["vim\n"]},
        {"packages": ["--yes"]},
        {"packages": [f"p{number}" for number in range(65)]},
        None,
    ],
)
def test_a_file_that_was_changed_is_not_believed(
    cache: Path, space: Workspace, change: dict[str, object] | None
) -> None:
    put(cache, BUILT)
    settle(space)
    text = space.decision.read_text()
    space.decision.write_text(json.dumps(json.loads(text) | change) if change else text[:40])
    with pytest.raises(LabError, match="is not what kubelab wrote there"):
        read_decision(space.decision)
    report = RecordingReporter()
    put(cache, released("1.36.99", CALICO))
    assert choose_for(lab(), space, report).cni.name == "calico"
    (told,) = report.of("warn")
    assert "decided anew" in told["text"]


def test_an_older_kubelab_decided_without_the_ranges_and_packages(cache: Path, space: Workspace) -> None:
    put(cache, BUILT)
    decision = settle(space)
    kept = json.loads(space.decision.read_text())
    later = ("pods", "services", "packages")
    space.decision.write_text(json.dumps({key: kept[key] for key in kept if key not in later}))
    assert read_decision(space.decision) == decision.model_copy(update={"pods": "", "services": ""})


def test_a_given_bundle_may_be_of_a_release_candidate(tmp_path: Path, space: Workspace) -> None:
    folder = tmp_path / "given"
    folder.mkdir()
    write_index(folder, kubernetes="1.36.5-rc.1", source="elsewhere", recipe="x", entries=[])
    decision = choose(lab(f"artifacts: {{bundle: {folder}}}"), space).decision
    assert (decision.kubernetes, decision.artifacts) == ("1.36.5-rc.1", "bundle")
    decision.write(space.decision)
    assert read_decision(space.decision) == decision


def test_no_file_is_no_decision(space: Workspace) -> None:
    assert read_decision(space.decision) is None


# The step


def test_up_writes_it_down_once(tmp_path: Path) -> None:
    made = make_lab(tmp_path)
    assert made.run(DecisionStep()) == ["decision"]
    assert read_decision(made.ctx.workspace.decision) == made.ctx.decision
    assert made.run(DecisionStep()) == []
    made.ctx.workspace.decision.write_text("{")
    assert made.run(DecisionStep()) == ["decision"]


def test_machines_of_another_lab_in_the_folder_are_not_counted(space: Workspace) -> None:
    other = space.machine_id_file("lab-two-cp1", "libvirt")
    other.parent.mkdir(parents=True)
    other.write_text("id")
    assert not space.has_machines()
