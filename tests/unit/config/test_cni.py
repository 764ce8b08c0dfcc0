from __future__ import annotations

from pathlib import Path

import pytest

from provision.cni.choose import cni_of, decide, wanted_of
from provision.cni.custom import Custom
from provision.config.cni import CniConfig
from provision.config.schema import parse_config
from provision.errors import ConfigError

SHA256 = "0123456789abcdef" * 4


def parsed(text: str, path: Path = Path("/labs/lab.yaml")) -> CniConfig:
    return parse_config(f"name: lab\ncni: {text}", path).cni


@pytest.mark.parametrize("name", ["auto", "calico", "cilium", "flannel", "bridge", "none"])
def test_the_plain_word_and_the_mapping_mean_the_same(name: str) -> None:
    assert parsed(name) == parsed(f"{{name: {name}}}") == CniConfig(name=name)


def test_a_manifest_lies_beside_the_lab_file() -> None:
    assert parsed("{name: own, manifest: a/own.yaml}").manifest == "/labs/a/own.yaml"
    assert parsed("{name: own, manifest: /b.yaml}").manifest == "/b.yaml"
    assert parsed("{name: own, manifest: https://a.example/c.yaml}").manifest == "https://a.example/c.yaml"


def test_a_manifest_needs_no_name() -> None:
    assert parsed("{manifest: own.yaml}").name == "custom"


@pytest.mark.parametrize("text", ["name: calico", "name: own, manifest: https://a.example/c.yaml"])
def test_what_is_fetched_may_be_held_to_a_checksum(text: str) -> None:
    settings = parsed(f"{{{text}, sha256: {SHA256}}}")
    (file,) = cni_of(settings).wanted().files
    assert file.sha256 == settings.sha256 == SHA256


@pytest.mark.parametrize(
    ("text", "key", "word"),
    [
        ("{}", "cni.name", "is missing"),
        ("[bridge]", "cni", "or a mapping of name, version, sha256, manifest, images, values"),
        ("calio", "cni", "did you mean `calico`?"),
        ("{name: calio}", "cni.name", "did you mean `calico`?"),
        ("{name: 3}", "cni.name", "a-z, 0-9"),
        ("{name: Own, manifest: a}", "cni.name", "a-z, 0-9"),
        ("{name: own}", "cni.name", "allowed: auto, calico, cilium, flannel, bridge, none"),
        ("{name: custom}", "cni.manifest", "is missing"),
        ("{name: bridge, manifest: a.yaml}", "cni.manifest", "cannot be given for bridge"),
        ("{name: own, manifest: ftp://a/b}", "cni.manifest", "http(s)://"),
        ("{name: own, manifest: ''}", "cni.manifest", "the path of a file"),
        ("{name: own, manifest: [a]}", "cni.manifest", "the path of a file"),
        ("{name: calico, version: 3.33}", "cni.version", "v3.33.0"),
        ("{name: calico, version: latest}", "cni.version", "v3.33.0"),
        ("{name: calico, sha256: abc}", "cni.sha256", "64 digits"),
        ("{name: calico, sha256: 7}", "cni.sha256", "64 digits"),
        (f"{{name: bridge, sha256: {SHA256}}}", "cni.sha256", "has no download to check"),
        (f"{{name: own, manifest: a.yaml, sha256: {SHA256}}}", "cni.sha256", "has no download to check"),
        (f"{{name: own, manifest: [a], sha256: {SHA256}}}", "cni.sha256", "has no download to check"),
        ("{name: bridge, version: 1.2.3}", "cni.version", "calico, cilium, flannel"),
        ("{name: calico, images: [a]}", "cni.images", "together with `manifest`"),
        ("{name: own, manifest: a, images: quay.io/a}", "cni.images", "a list"),
        ("{name: own, manifest: a, images: [quay.io/a:1, 'A B']}", "cni.images.1", "NAME:TAG"),
        (f"{{name: own, manifest: a, images: ['q.io/a@sha256:{SHA256}']}}", "cni.images.0", "NAME:TAG"),
        (f"{{name: own, manifest: a, images: ['q.io:5/a@sha256:{SHA256}']}}", "cni.images.0", "NAME:TAG"),
        ("{name: bridge, values: {a: b}}", "cni.values", "cannot be given for bridge"),
        ("{name: calico, values: [a]}", "cni.values", "a mapping"),
        (
            "{name: calico, values: {encapsulation: gre}}",
            "cni.values.encapsulation",
            "vxlan, ipip, bgp, none",
        ),
        ("{name: calico, values: {encapsulaton: ipip}}", "cni.values.encapsulaton", "mean `encapsulation`?"),
        ("{name: flannel, values: {backend: [vxlan]}}", "cni.values.backend", "vxlan, host-gw"),
        ("{name: own, manifest: a, values: {b: c}}", "cni.values", "applied unchanged"),
        ("{name: cilium, values: {b: 2026-01-01}}", "cni.values", "a mapping"),
        ("{name: calico, colour: red}", "cni.colour", "name, version, sha256, manifest, images, values"),
        ("{name: calico, 1: 2}", "cni.1", "name, version"),
    ],
)
def test_what_is_wrong_is_named_by_its_key(text: str, key: str, word: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parsed(text)
    assert (caught.value.exit_code, caught.value.key) == (2, key)
    assert word in str(caught.value)


@pytest.mark.parametrize(("runtime", "word"), [("cri-o", "Debian 13"), ("docker", "containerd")])
def test_another_runtime_is_refused(runtime: str, word: str) -> None:
    assert parse_config("{name: lab, runtime: containerd}").runtime == "containerd"
    with pytest.raises(ConfigError, match=word) as caught:
        parse_config(f"{{name: lab, runtime: {runtime}}}")
    assert (caught.value.exit_code, caught.value.key) == (2, "runtime")


def test_only_cilium_does_the_work_of_kube_proxy_and_only_when_told() -> None:
    assert parsed("{name: cilium, values: {kubeProxyReplacement: true}}").replaces_kube_proxy
    assert not parsed("{name: cilium, values: {kubeProxyReplacement: false}}").replaces_kube_proxy
    assert not parsed("cilium").replaces_kube_proxy


@pytest.mark.parametrize(
    ("name", "enforces"),
    [("calico", True), ("cilium", True), ("flannel", False), ("bridge", False), ("none", False)],
)
def test_every_cni_says_whether_it_enforces_policies(name: str, enforces: bool) -> None:
    found = cni_of(CniConfig(name=name))
    assert (found.name, found.enforces_policies) == (name, enforces)


def test_a_manifest_of_ones_own_is_taken_whatever_its_name() -> None:
    assert isinstance(cni_of(parsed("{name: calico, manifest: my.yaml}")), Custom)


def test_auto_is_calico_only_where_the_bundle_has_what_it_wants() -> None:
    settings = CniConfig(name="auto")
    best = wanted_of(CniConfig(name="calico"))
    assert decide(settings, lambda wanted: wanted == best).name == "calico"
    assert decide(settings, lambda wanted: False).name == "bridge"


def test_a_cni_that_is_named_is_not_chosen_again() -> None:
    settings = CniConfig(name="flannel", values={"backend": "host-gw"})
    assert decide(settings, lambda wanted: pytest.fail("no bundle is asked")) is settings
