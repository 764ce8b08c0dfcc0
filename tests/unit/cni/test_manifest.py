from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from provision.cluster.kubectl import Kubectl
from provision.cni.calico import Calico
from provision.cni.choose import cni_of
from provision.cni.custom import Custom
from provision.cni.flannel import Flannel
from provision.config.cni import CniConfig
from provision.errors import ConfigError
from tests.fakes import cni
from tests.fakes.cluster.kubectl import StubKubectl

# Of a version that no checksum is known of, as the objects are our own.
STAND_IN = CniConfig(name="calico", version="v3.33.1")


@pytest.fixture
def stub(tmp_path: Path) -> StubKubectl:
    return StubKubectl(tmp_path / "bundle")


def client(stub: StubKubectl) -> Kubectl:
    return Kubectl(stub.program, stub.folder / "kubeconfig")


def test_calico_is_applied_and_written_down(tmp_path: Path, stub: StubKubectl) -> None:
    calico = Calico(STAND_IN)
    (file,) = calico.wanted().files
    cni.make_cni_bundle(tmp_path / "files", {file.name: cni.CALICO})
    site = cni.make_site(tmp_path / "files/manifests")
    stub.answer("apply *")
    calico.install(client(stub), site)
    crds, rest, record = stub.calls
    assert "--server-side" in crds
    assert "--server-side" in rest
    # Nothing of ours is worth the download that a validation begins with.
    assert all("--validate=ignore" in call for call in (crds, rest, record))
    (written,) = json.loads(stub.stdin)["items"]
    found = json.loads(written["data"]["cni"])
    assert (found["name"], found["version"]) == ("calico", "v3.33.1")
    assert found["workloads"] == [
        "kube-system/DaemonSet/calico-node",
        "kube-system/Deployment/calico-kube-controllers",
    ]


def test_objects_of_a_new_kind_wait_for_it(tmp_path: Path, stub: StubKubectl) -> None:
    file = tmp_path / "own.yaml"
    crd = {
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "pools.a"},
        "spec": {"names": {"kind": "Pool"}},
    }
    file.write_text(cni.as_yaml([{"kind": "Pool", "metadata": {"name": "all"}}, crd]))
    stub.answer("apply *")
    stub.answer("wait *")
    Custom(CniConfig(name="own", manifest=str(file))).install(client(stub), cni.make_site())
    assert [call.split()[0] for call in stub.calls] == ["apply", "wait", "apply", "apply"]
    assert stub.calls[1].endswith("crd/pools.a")


@pytest.mark.parametrize(
    ("settings", "url", "name"),
    [
        (
            CniConfig(name="calico"),
            "projectcalico/calico/v3.33.0/manifests/calico.yaml",
            "calico-v3.33.0.yaml",
        ),
        (CniConfig(name="calico", version="3.32.4"), "/v3.32.4/manifests/calico.yaml", "calico-v3.32.4.yaml"),
        (CniConfig(name="flannel"), "download/v0.28.8/kube-flannel.yml", "flannel-v0.28.8.yaml"),
        (
            CniConfig(name="cilium", version="v1.20.1"),
            "helm.cilium.io/cilium-1.20.1.tgz",
            "cilium-1.20.1.tgz",
        ),
    ],
)
def test_what_is_published_is_wanted_at_one_version(settings: CniConfig, url: str, name: str) -> None:
    (file,) = cni_of(settings).wanted().files
    assert file.url.startswith("https://")
    assert file.url.endswith(url)
    assert file.name == name


@pytest.mark.parametrize("name", ["calico", "cilium", "flannel"])
def test_what_is_fetched_unless_asked_otherwise_has_a_checksum(name: str) -> None:
    (file,) = cni_of(CniConfig(name=name)).wanted().files
    assert re.fullmatch("[0-9a-f]{64}", file.sha256 or "")
    (other,) = cni_of(CniConfig(name=name, version="9.9.9")).wanted().files
    assert other.sha256 is None


def test_a_checksum_of_ones_own_comes_first(tmp_path: Path) -> None:
    wanted = hashlib.sha256(cni.CALICO.encode()).hexdigest()
    own = Calico(CniConfig(name="calico", sha256=wanted))
    (file,) = own.wanted().files
    own.check(cni.make_cni_bundle(tmp_path, {file.name: cni.CALICO}, *cni.CALICO_IMAGES))


def test_a_bundle_with_another_manifest_is_refused(tmp_path: Path) -> None:
    calico = Calico(CniConfig(name="calico"))
    (file,) = calico.wanted().files
    bundle = cni.make_cni_bundle(tmp_path, {file.name: cni.CALICO}, *cni.CALICO_IMAGES)
    got = hashlib.sha256(cni.CALICO.encode()).hexdigest()
    with pytest.raises(
        ConfigError, match=f"{file.name} is not .* expected sha256:{file.sha256}, got sha256:{got}"
    ):
        calico.check(bundle)


@pytest.mark.parametrize("lacking", [*cni.CALICO_IMAGES, "the file"])
def test_a_bundle_that_lacks_something_is_refused_by_name(tmp_path: Path, lacking: str) -> None:
    calico = Calico(STAND_IN)
    (file,) = calico.wanted().files
    calico.check(cni.make_cni_bundle(tmp_path / "whole", {file.name: cni.CALICO}, *cni.CALICO_IMAGES))
    files = {} if lacking == "the file" else {file.name: cni.CALICO}
    images = [image for image in cni.CALICO_IMAGES if image != lacking]
    with pytest.raises(ConfigError) as caught:
        calico.check(cni.make_cni_bundle(tmp_path / "part", files, *images))
    assert (caught.value.exit_code, caught.value.key) == (2, "cni")
    assert (file.name if lacking == "the file" else lacking) in str(caught.value)
    assert "cni: bridge" in caught.value.hint


def test_a_published_file_that_is_none_is_refused(tmp_path: Path) -> None:
    flannel = Flannel(CniConfig(name="flannel", version="9.9.9"))
    (file,) = flannel.wanted().files
    bundle = cni.make_cni_bundle(tmp_path, {file.name: "<html>not found</html>: ["})
    with pytest.raises(ConfigError, match=file.name):
        flannel.check(bundle)
