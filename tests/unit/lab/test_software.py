"""A lab that is there can be looked at, put back and removed without a cache and without a network."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from provision.artifacts.bundle import write_index
from provision.artifacts.given import kept_bundle
from provision.config.schema import ClusterConfig, parse_config
from provision.errors import LabError
from provision.lab.context import Context
from provision.lab.decision import Decision
from provision.lab.opening import open_lab
from provision.report.base import RecordingReporter
from provision.workspace import Workspace

KEY = "a" * 64
DECISION = Decision(kubernetes="1.36.3", artifacts="release", bundle=KEY, cni="calico")


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Refuse to choose a bundle anew; return when that was asked for."""
    asked: list[str] = []

    def choose_for(config: ClusterConfig, *_: object) -> None:
        asked.append(config.name)
        raise LabError("the site does not answer")

    monkeypatch.setenv("KUBELAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("provision.lab.software.choose_for", choose_for)
    return asked


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    """The folder of a lab with machines."""
    space = Workspace(tmp_path, "lab")
    space.prepare()
    file = space.machine_id_file("lab-cp1", "libvirt")
    file.parent.mkdir(parents=True)
    file.write_text("id")
    return space


def opened(space: Workspace, text: str = "") -> Context:
    config = parse_config(f'name: lab\nkubernetes: "1.36"\n{text}').model_copy(update={"provider": "libvirt"})
    return open_lab(config, space, RecordingReporter(), threading.Event())


def test_what_was_decided_needs_no_bundle(space: Workspace, asked: list[str]) -> None:
    DECISION.write(space.decision)
    lab = opened(space)
    assert (lab.config.kubernetes, lab.config.cni.name) == ("1.36.3", "calico")
    assert (lab.version, lab.cni.name, lab.recipe.bundle_key) == ("1.36.3", "calico", KEY)
    assert (lab.decision, lab.find_bundle()) == (DECISION, None)
    with pytest.raises(LabError, match=r"kubectl is missing: the bundle of Kubernetes 1\.36\.3") as caught:
        _ = lab.kubectl
    assert caught.value.hint == "kubelab up"
    assert asked == []


def test_the_box_has_the_packages_of_lab_yaml(space: Workspace) -> None:
    DECISION.write(space.decision)
    assert opened(space, "packages: [tree]").recipe.packages == ("tree",)


def test_the_kept_bundle_is_found_in_the_cache(space: Workspace, asked: list[str], tmp_path: Path) -> None:
    DECISION.write(space.decision)
    folder = tmp_path / "cache/bundles" / KEY
    folder.mkdir(parents=True)
    write_index(folder, kubernetes="1.36.3", source="release", recipe=KEY, entries=[])
    assert kept_bundle(KEY) is not None
    assert opened(space).kubectl.program == folder / "binaries/kubectl"
    assert asked == []


def test_a_given_bundle_is_looked_for_where_lab_yaml_says(space: Workspace, asked: list[str]) -> None:
    DECISION.model_copy(update={"artifacts": "bundle"}).write(space.decision)
    lab = opened(space, "artifacts: {bundle: gone}")
    assert (lab.version, asked) == ("1.36.3", [])
    with pytest.raises(LabError, match="the site does not answer"):
        _ = lab.kubectl


def test_what_was_never_decided_is_chosen_at_first_use_and_tried_again(
    space: Workspace, asked: list[str]
) -> None:
    lab = opened(space)
    assert (lab.config.kubernetes, lab.config.cni.name, asked) == ("1.36", "auto", [])
    for count in (1, 2):
        with pytest.raises(LabError, match="the site does not answer"):
            _ = lab.version
        assert asked == ["lab"] * count
