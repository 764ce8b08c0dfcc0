from __future__ import annotations

import copy

import pytest

from provision.cni.calico import Calico
from provision.cni.documents import parse
from provision.cni.flannel import Flannel
from provision.config.cni import CniConfig
from tests.fakes import cni
from tests.golden import golden

SPEEDS = {"kvm": cni.KVM, "tcg": cni.TCG}


@pytest.mark.parametrize("speed", SPEEDS)
@pytest.mark.parametrize("mode", ["vxlan", "ipip", "bgp", "none"])
def test_what_is_changed_in_calico(mode: str, speed: str) -> None:
    published = parse(cni.CALICO)
    before = copy.deepcopy(published)
    site = cni.make_site(speed=SPEEDS[speed], network={"pods": "10.32.0.0/16"})
    calico = Calico(CniConfig(name="calico", values={"encapsulation": mode}))
    golden.check(f"calico-{mode}-{speed}.yaml", cni.as_yaml(calico.documents(site, published)))
    assert published == before


@pytest.mark.parametrize("backend", ["vxlan", "host-gw"])
def test_what_is_changed_in_flannel(backend: str) -> None:
    published = parse(cni.FLANNEL)
    before = copy.deepcopy(published)
    site = cni.make_site(speed=cni.TCG, network={"pods": "10.32.0.0/16"})
    flannel = Flannel(CniConfig(name="flannel", values={"backend": backend}))
    golden.check(f"flannel-{backend}.yaml", cni.as_yaml(flannel.documents(site, published)))
    assert published == before
