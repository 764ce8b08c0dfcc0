from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from provision.cni.cilium import Cilium
from provision.config.cni import CniConfig
from provision.errors import MissingTool
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
    assert values["operator"] == {"replicas": 2, "image": {"useDigest": False}}
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


def test_without_helm_the_way_to_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    cilium = Cilium(CniConfig(name="cilium"))
    with pytest.raises(MissingTool, match="helm") as caught:
        cilium.images(cni.make_site(tmp_path).files)
    assert "helm.sh" in caught.value.hint
