"""What follows from lab.yaml and this host is told before anything is asked of the network, or built."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path

import pytest

from provision import extensions
from provision.config.inventory import bridge_name, inventory_of
from provision.errors import ConfigDrift, ConfigError
from provision.host.facts import gather
from provision.lab import opening, refusals
from provision.lab.refusals import (
    refuse_another_lab,
    refuse_impossible,
    refuse_missing_bridge,
    refuse_mode,
    refuse_without_box,
)
from provision.report.base import RecordingReporter
from provision.workspace import Workspace
from tests.fakes.config import make_config
from tests.fakes.lab import make_lab
from tests.fakes.providers.machines import FakeMachines
from tests.fakes.providers.provider import FakeProvider

CONFIG = make_config(workers={"count": 1})
NAMES = ["lab-cp1", "lab-w1"]
MODES = [("iptables", "source", False), ("ipvs", "release", True), ("nftables", "source", True)]


@pytest.fixture
def provider() -> FakeProvider:
    return FakeProvider()


def refuse(provider: FakeProvider, folder: Path = Path("/lab")) -> None:
    machines = FakeMachines(NAMES, running=NAMES)
    refuse_without_box(provider)
    refuse_another_lab(CONFIG, folder, provider, machines)
    refuse_impossible(CONFIG, inventory_of(CONFIG), folder, provider, machines)


def test_a_lab_that_can_be_made_is_not_refused(provider: FakeProvider) -> None:
    # One half made by a run that was killed is made anew, and a worker that lab.yaml has no more is removed.
    provider.stray = ["lab-w1", "lab-w2"]
    refuse(provider)
    assert provider.calls == []


def no_boxes(provider: FakeProvider) -> None:
    provider.builds_boxes = False


def another_lab(provider: FakeProvider) -> None:
    provider.others = {"lab-cp1": "/elsewhere/Vagrantfile"}


def other_machines(provider: FakeProvider) -> None:
    provider.foreign = ["lab-w1"]


def removed_node(provider: FakeProvider) -> None:
    provider.stray = ["lab-cp2"]


def no_folder(provider: FakeProvider) -> None:
    provider.others = {"lab-cp1": None}


def renamed(provider: FakeProvider) -> None:
    provider.others = {"saved": "/lab/Vagrantfile"}


def lost_id(provider: FakeProvider) -> None:
    provider.stray = ["lab-w1"]
    provider.machines = {"stray-lab-w1": "paused"}


def other_range(provider: FakeProvider) -> None:
    provider.drift = ConfigDrift("the network has another range", key="network.nodes", hint="kubelab destroy")


REFUSED = {
    no_boxes: ("provider: ", "kubelab render"),
    another_lab: ("name: .*/elsewhere/Vagrantfile", "another name"),
    other_machines: ("name: .*lab-w1", "another name"),
    no_folder: ("name: .*lab-cp1.*made by something else", "another name"),
    renamed: ("name: .*that of saved", "name it as before"),
    lost_id: ("name: lab-w1 runs.*lost its id", "bring back /lab/.vagrant"),
    removed_node: ("controlPlanes.count: lab-cp2", "kubelab destroy"),
    other_range: ("network.nodes: ", "kubelab destroy"),
}


@pytest.mark.parametrize("obstacle", REFUSED, ids=lambda obstacle: obstacle.__name__)
def test_what_cannot_be_is_refused_with_its_key(provider: FakeProvider, obstacle: object) -> None:
    obstacle(provider)  # type: ignore[operator]
    message, hint = REFUSED[obstacle]  # type: ignore[index]
    with pytest.raises(ConfigError, match=message) as caught:
        refuse(provider)
    assert hint in caught.value.hint
    assert caught.value.exit_code == 2
    assert provider.calls == []


def test_up_is_refused_before_anybody_is_asked_for_kubernetes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def choose_for(*unused: object) -> None:
        raise AssertionError("the network may have been asked")

    class Provider(FakeProvider):
        def taken(self, *_: object) -> list[str]:
            return ["lab-cp1"]

    monkeypatch.setattr("provision.lab.software.choose_for", choose_for)
    monkeypatch.setattr(extensions.Registry, "make", lambda *unused: Provider())
    space = Workspace(tmp_path, CONFIG.name)
    with pytest.raises(ConfigError, match="lab-cp1"):
        opening.open_lab(CONFIG, space, RecordingReporter(), threading.Event(), gather())


def test_a_bridge_that_the_host_has_not_is_refused_with_those_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    own = bridge_name("lab")
    monkeypatch.setattr(refusals, "bridges", lambda: ["br0", "br1", own, "virbr0", "docker0"])
    refuse_missing_bridge(make_config())
    refuse_missing_bridge(make_config(network={"bridge": "br1"}))
    for name in ("br7", own, "virbr0"):
        with pytest.raises(ConfigError, match=r"allowed: none, br0, br1$") as caught:
            refuse_missing_bridge(make_config(network={"bridge": name}))
        assert caught.value.key == "network.bridge"
    # Whose adapters VirtualBox alone knows.
    refuse_missing_bridge(make_config(provider="virtualbox", network={"bridge": "en0: Wi-Fi"}))


@pytest.mark.parametrize(("mode", "source", "right"), MODES)
def test_a_mode_of_kube_proxy_needs_an_image_that_has_its_programs(
    tmp_path: Path, mode: str, source: str, right: bool
) -> None:
    software = make_lab(tmp_path, kubeProxy={"mode": mode}).ctx.software()
    bundle = software.find_bundle()
    assert bundle is not None
    made = dataclasses.replace(software, find_bundle=lambda: dataclasses.replace(bundle, source=source))
    unbuilt = dataclasses.replace(
        software,
        find_bundle=lambda: None,
        decision=software.decision.model_copy(update={"artifacts": source}),
    )
    for each in (made, unbuilt):
        if right:
            refuse_mode(each)
            continue
        with pytest.raises(ConfigError) as caught:
            refuse_mode(each)
        assert caught.value.key == "kubeProxy.mode"
