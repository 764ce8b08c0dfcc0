from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from provision.cni.cilium import Cilium
from provision.cni.documents import images_of
from provision.config.cni import CniConfig
from provision.errors import ConfigError, MissingTool
from tests.fakes import cni

HELM = """#!/bin/sh
printf '%s\\n' "$@" > {here}/argv
cat > {here}/values
cat {here}/rendered
"""


@pytest.fixture
def helm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stub `helm` that notes what it is asked, and prints a rendered chart."""
    folder = tmp_path / "helm"
    folder.mkdir()
    (folder / "rendered").write_text(cni.CILIUM)
    (folder / "helm").write_text(HELM.format(here=folder))
    (folder / "helm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def test_cilium_is_rendered_from_its_chart(tmp_path: Path, helm: Path) -> None:
    cilium = Cilium(CniConfig(name="cilium", values={"operator": {"replicas": 2}}))
    site = cni.make_site(tmp_path, cni.TCG)
    documents = cilium.documents(site, cilium.read(site.files, site))
    argv = (helm / "argv").read_text().split()
    assert argv[:3] == ["template", "cilium", str(tmp_path / "cilium-1.20.0.tgz")]
    assert "--kube-version=1.36.3" in argv
    values = yaml.safe_load((helm / "values").read_text())
    assert values["operator"] == {"replicas": 2}
    assert (values["kubeProxyReplacement"], "k8sServiceHost" in values) == (False, False)
    probe = documents[0]["spec"]["template"]["spec"]["containers"][0]["livenessProbe"]
    assert (probe["periodSeconds"], probe["timeoutSeconds"]) == (30, 50)
    assert cilium.images(site.files) == ("quay.io/cilium/cilium:v1.20.3",)


def test_without_kube_proxy_cilium_is_told_where_the_api_server_is(tmp_path: Path, helm: Path) -> None:
    cilium = Cilium(CniConfig(name="cilium", values={"kubeProxyReplacement": True}))
    site = cni.make_site(tmp_path)
    cilium.read(site.files, site)
    values = yaml.safe_load((helm / "values").read_text())
    assert (values["k8sServiceHost"], values["k8sServicePort"]) == ("192.168.60.11", 6443)
    assert values["kubeProxyReplacement"] is True


def test_images_pinned_by_digest_are_fetched_by_it_and_asked_for_by_tag(tmp_path: Path, helm: Path) -> None:
    (helm / "rendered").write_text(cni.CILIUM_WITH_HUBBLE)
    cilium = Cilium(
        CniConfig(name="cilium", version="1.20.3", values={"hubble": {"relay": {"enabled": True}}})
    )
    names = ["certgen:v0.4.1", "cilium:v1.20.3", "hubble-relay:v1.20.3"]
    tagged = [f"quay.io/cilium/{name}" for name in names]
    site = cni.make_site(tmp_path)
    assert cilium.images(site.files) == tuple(f"{ref}@{cni.PINNED}" for ref in tagged)
    assert images_of(cilium.documents(site, cilium.read(site.files, site))) == set(tagged)
    files = {cilium.file().name: "the chart"}
    cilium.check(cni.make_cni_bundle(tmp_path / "whole", files, *tagged, digest=cni.PINNED))
    cilium.check(cni.make_cni_bundle(tmp_path / "digests unknown", files, *tagged))
    for part in (tagged[1:], tagged):
        other = f"sha256:{'e' * 64}" if part == tagged else cni.PINNED
        bundle = cni.make_cni_bundle(tmp_path / f"{len(part)}", files, *part, digest=other)
        with pytest.raises(ConfigError, match=r"lacks .* the image quay\.io/cilium/certgen:v0\.4\.1@sha256"):
            cilium.check(bundle)


@pytest.mark.parametrize(
    ("value", "replaces"), [(True, True), ("true", True), ("True", True), (False, False), ("false", False)]
)
def test_kube_proxy_is_left_out_however_the_value_is_written(value: object, replaces: bool) -> None:
    assert CniConfig(name="cilium", values={"kubeProxyReplacement": value}).replaces_kube_proxy is replaces


def test_without_helm_the_way_to_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    cilium = Cilium(CniConfig(name="cilium"))
    with pytest.raises(MissingTool, match="helm") as caught:
        cilium.images(cni.make_site(tmp_path).files)
    assert "helm.sh" in caught.value.hint
