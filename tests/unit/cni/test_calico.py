from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from provision.cni.calico import Calico
from provision.cni.documents import Document, container, find, images_of, parse
from provision.config.cni import CniConfig
from provision.errors import ConfigError, LabError
from provision.host.facts import Acceleration
from tests.fakes import cni

SHAPES = {
    "v3.32": (cni.CALICO_3_32, cni.CALICO_3_32_IMAGES),
    "v3.33": (cni.CALICO, cni.CALICO_IMAGES),
}
shapes = pytest.mark.parametrize("shape", SHAPES)
speeds = pytest.mark.parametrize("speed", [cni.KVM, cni.TCG], ids=["kvm", "tcg"])
PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


def published(shape: str, **probes: Any) -> list[Document]:
    """Return Calico's objects, with other probes of calico-node where some are given."""
    documents = parse(SHAPES[shape][0])
    container(find(documents, "DaemonSet", "calico-node"), "calico-node").update(probes)
    return documents


def probes_of(documents: list[Document]) -> dict[str, Any]:
    node = container(find(documents, "DaemonSet", "calico-node"), "calico-node")
    return {kind: node[kind] for kind in PROBES if kind in node}


def for_lab(mode: str, documents: list[Document], speed: Acceleration = cni.KVM) -> list[Document]:
    calico = Calico(CniConfig(name="calico", values={"encapsulation": mode}))
    return calico.documents(cni.make_site(speed=speed), documents)


@pytest.mark.parametrize(
    ("mode", "felix"), [("nftables", "Enabled"), ("iptables", "Disabled"), ("ipvs", "Disabled")]
)
def test_its_rules_are_of_the_same_kind_as_those_of_kube_proxy(mode: str, felix: str) -> None:
    calico = Calico(CniConfig(name="calico"))
    documents = calico.documents(cni.make_site(kubeProxy={"mode": mode}), published("v3.33"))
    node = container(find(documents, "DaemonSet", "calico-node"), "calico-node")
    (value,) = [each["value"] for each in node["env"] if each["name"] == "FELIX_NFTABLESMODE"]
    assert value == felix


@shapes
@speeds
@pytest.mark.parametrize("mode", ["vxlan", "none"])
def test_no_probe_asks_about_bird_where_none_runs(mode: str, speed: Acceleration, shape: str) -> None:
    documents = for_lab(mode, published(shape), speed)
    probes = probes_of(documents)
    assert "bird" not in str(probes)
    asked = {kind: probe["httpGet"] for kind, probe in probes.items()}
    assert asked == {
        "livenessProbe": {"host": "127.0.0.1", "path": "/liveness", "port": 9099},
        "readinessProbe": {"host": "127.0.0.1", "path": "/readiness", "port": 9099},
    }
    assert not any("exec" in probe for probe in probes.values())
    assert find(documents, "ConfigMap", "calico-config")["data"]["calico_backend"] == "vxlan"


@shapes
@speeds
@pytest.mark.parametrize("mode", ["ipip", "bgp"])
def test_where_bird_runs_the_probes_are_the_published_ones(
    mode: str, speed: Acceleration, shape: str
) -> None:
    documents = for_lab(mode, published(shape), speed)
    before, after = probes_of(published(shape)), probes_of(documents)
    assert {kind: probe["exec"] for kind, probe in after.items()} == {
        kind: probe["exec"] for kind, probe in before.items()
    }
    assert find(documents, "ConfigMap", "calico-config")["data"]["calico_backend"] == "bird"


@shapes
@pytest.mark.parametrize("mode", ["vxlan", "ipip", "bgp", "none"])
def test_every_image_is_wanted_also_those_of_init_containers(mode: str, shape: str) -> None:
    assert images_of(for_lab(mode, published(shape))) == set(SHAPES[shape][1])


@shapes
@pytest.mark.parametrize(
    "command",
    [
        ["sh", "-c", "calico-node -felix-live && birdcl show status"],
        ["calico", "component", "node", "check", "--felix-live"],
        ["calico", "component", "node", "health", "--felix-live", "--bgp-live"],
        ["calico", "component", "node", "health", "--bird-live"],
        ["/bin/calico-node", "-felix-live=false"],
        [],
    ],
)
def test_a_probe_that_is_not_understood_is_refused_with_its_text(command: list[str], shape: str) -> None:
    probe = {"exec": {"command": command}, "periodSeconds": 10}
    with pytest.raises(LabError, match="livenessProbe of calico-node") as caught:
        for_lab("vxlan", published(shape, livenessProbe=probe))
    assert " ".join(command) in caught.value.message
    assert "cni.version" in caught.value.hint
    for_lab("bgp", published(shape, livenessProbe=probe))


@pytest.mark.parametrize("probe", [{"grpc": {"port": 9}}, {"httpGet": {"port": 9, "path": "/bird"}}, "no"])
def test_a_probe_of_another_kind_is_refused_too(probe: object) -> None:
    with pytest.raises(LabError, match="readinessProbe of calico-node"):
        for_lab("none", published("v3.33", readinessProbe=probe))


@pytest.mark.parametrize("kind", PROBES)
def test_a_probe_that_asks_felix_already_stays(kind: str) -> None:
    probe = {"httpGet": {"host": "localhost", "path": "/liveness", "port": 9099}, "periodSeconds": 10}
    documents = for_lab("vxlan", published("v3.33", **{kind: probe}))
    assert probes_of(documents)[kind] == probe


def test_what_is_not_understood_is_said_before_anything_is_built(tmp_path: Path) -> None:
    text = cni.CALICO.replace("--felix-live, --bird-live", "--everything")
    for mode in ("vxlan", "ipip"):
        values = {"encapsulation": mode}
        calico = Calico(CniConfig(name="calico", version="v3.33.1", values=values))
        bundle = cni.make_cni_bundle(tmp_path / mode, {calico.file().name: text}, *cni.CALICO_IMAGES)
        if mode == "ipip":
            calico.check(bundle)
            continue
        with pytest.raises(ConfigError, match="calico component node health --everything") as caught:
            calico.check(bundle)
        assert (caught.value.key, caught.value.exit_code) == ("cni.version", 2)
