from __future__ import annotations

import io
import re
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from provision import templates
from provision.artifacts import choose, sites
from provision.artifacts.bundle import write_index
from provision.artifacts.cache import Cached
from provision.artifacts.images.archive import ImageConfig, minimal_root, write_image
from provision.artifacts.images.registry import Reference, image_file, rewrite
from provision.artifacts.release import crictl, versions
from provision.artifacts.release import origin as release
from provision.artifacts.release.origin import Release
from provision.artifacts.sites import Sites
from provision.artifacts.source import origin as source
from provision.artifacts.unavailable import Unavailable
from provision.artifacts.wanted import Wanted, WantedFile
from provision.artifacts.web.client import Web
from provision.artifacts.web.time_limit import within
from provision.cni.choose import decide, wanted_of
from provision.config.cni import CniConfig
from provision.config.schema import ClusterConfig, parse_config
from provision.errors import ConfigError, LabError, MissingTool, WaitTimeout
from provision.lab.artifacts import artifacts_of, build, tools_of, with_cni
from provision.report.base import RecordingReporter
from provision.workspace import Workspace
from tests.fakes.artifacts.mirror import Mirror, answer, hang, serving
from tests.fakes.engine import FakeClock

PAUSE = "registry.k8s.io/pause:3.10"
DIGEST = f"sha256:{'a' * 64}"


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with serving() as server:
        server.release("1.35.9", {"kubeadm": b"old"})
        server.release("1.36.4", {"kubeadm": b"new"})
        yield server


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KUBELAB_CACHE", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / "bundles"


def lab(kubernetes: str = "1.36", artifacts: str = "auto", cni: str = "bridge") -> ClusterConfig:
    return parse_config(f'name: lab\nkubernetes: "{kubernetes}"\nartifacts: {artifacts}\ncni: {cni}\n')


def tools(config: ClusterConfig) -> list[str]:
    """Return the programs that are needed to make the bundle of a lab that is not there yet."""
    found = tools_of(config, None, RecordingReporter())
    assert found == tools_of(config, Workspace(Path("/nowhere"), "lab"), RecordingReporter())
    return found


def put(cache: Path, origin: Release | source.Source) -> None:
    """Put an empty bundle of `origin` into the cache."""
    folder = cache / origin.key
    folder.mkdir(parents=True)
    write_index(folder, kubernetes=origin.kubernetes, source="test", recipe=origin.key, entries=[])


# Where things come from


@pytest.mark.parametrize(
    ("images", "ref", "place", "tls"),
    [
        ({}, PAUSE, "registry.k8s.io/pause:3.10", True),
        ({}, "busybox:1", "docker.io/library/busybox:1", True),
        ({}, "calico/node:v3", "docker.io/calico/node:v3", True),
        ({}, "localhost/a:1", "localhost/a:1", True),
        ({"": "m.test/k8s"}, "registry.k8s.io/coredns/coredns:v1", "m.test/k8s/coredns/coredns:v1", True),
        ({"": "http://m.test:5000"}, PAUSE, "m.test:5000/pause:3.10", False),
        ({"": "https://m.test"}, PAUSE, "m.test/pause:3.10", True),
        ({"quay.io": "m.test"}, PAUSE, "registry.k8s.io/pause:3.10", True),
        (
            {"quay.io": "m.test/quay", "": "m.test"},
            "quay.io/calico/node:v3",
            "m.test/quay/calico/node:v3",
            True,
        ),
    ],
)
def test_an_image_is_taken_from_what_stands_for_its_registry(
    images: dict[str, str], ref: str, place: str, tls: bool
) -> None:
    assert Sites(images=images).image(ref) == (place, tls)


def test_crictl_is_that_of_the_minor() -> None:
    public = "https://github.com/kubernetes-sigs/cri-tools/releases/download"
    assert crictl.crictl_url("1.36.3") == f"{public}/v1.36.0/crictl-v1.36.0-linux-amd64.tar.gz"


def test_a_mirror_has_a_folder_for_each_public_host() -> None:
    public = "https://dl.k8s.io/release/v1.36.3/bin/linux/amd64/kubelet"
    assert versions.program_url(Sites(), "1.36.3", "kubelet") == public
    place = Sites("https://m.test/k8s")
    assert versions.program_url(place, "1.36.3", "kubelet") == public.replace("//", "//m.test/k8s/")
    assert (Sites().name, place.name) == ("dl.k8s.io", "https://m.test/k8s")


@pytest.mark.parametrize(
    ("text", "name", "tag", "digest"),
    [
        ("a.test:5000/b/c:v1", "a.test:5000/b/c", "v1", ""),
        ("a.test:5000/b", "a.test:5000/b", "latest", ""),
        (f"quay.io/cilium/cilium:v1.20.3@{DIGEST}", "quay.io/cilium/cilium", "v1.20.3", DIGEST),
    ],
)
def test_a_reference_in_its_parts(text: str, name: str, tag: str, digest: str) -> None:
    assert Reference.parse(text) == Reference(name, tag, digest)


@pytest.mark.parametrize("text", [f"a.test/b@{DIGEST}", "a.test/b@sha256:1", ""])
def test_an_image_without_a_tag_has_no_place_in_a_bundle(text: str) -> None:
    with pytest.raises(LabError, match="has no tag"):
        Reference.parse(text)


def test_every_reference_has_a_file_name_of_its_own() -> None:
    refs = ["quay.io/a/node:v1", "quay.io/a/node:v2", "docker.io/a/node:v1", "quay.io/a-node:v1"]
    names = {image_file(ref) for ref in refs}
    assert len(names) == len(refs)
    assert all(re.fullmatch(r"[\w.-]+\.tar", name) for name in names)


def test_an_image_in_its_one_form_stays_as_it_is(tmp_path: Path) -> None:
    layer = minimal_root()
    layer.add("/pause", b"program")
    write_image(tmp_path / "a.tar", PAUSE, layer, ImageConfig(("/pause",)))
    rewrite(tmp_path / "a.tar", tmp_path / "b.tar", PAUSE)
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_an_archive_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"no tar")
    with pytest.raises(LabError, match="not a docker archive"):
        rewrite(tmp_path / "a.tar", tmp_path / "b.tar", PAUSE)


def test_a_manifest_without_an_end_is_not_read_whole(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w:gz") as tar:
        info = tarfile.TarInfo("manifest.json")
        info.size = 5 << 20
        tar.addfile(info, io.BytesIO(bytes(info.size)))
    with pytest.raises(LabError, match=r"manifest\.json is larger than 4 MiB"):
        rewrite(tmp_path / "a.tar", tmp_path / "b.tar", PAUSE)


def test_the_plugins_are_those_that_are_built_from_source() -> None:
    text = (templates.data("templates/bundle") / "v1.36/cni-plugins/go.mod").read_text()
    built = re.findall(r"containernetworking/plugins/plugins/\w+/([\w-]+)$", text, re.MULTILINE)
    assert sorted(built) == list(release.CNI_PROGRAMS)


# Keys


OTHERS = [
    Release("1.36.4", Sites()),
    Release("1.36.3", Sites("https://m.test")),
    Release("1.36.3", Sites(images={"": "m.test"})),
    Release("1.36.3", Sites(), Wanted(("a.test/b:1",))),
    Release("1.36.3", Sites(), Wanted(files=(WantedFile("https://a.test/c.yaml", "c.yaml"),))),
    Release("1.36.3", Sites(), Wanted(files=(WantedFile("https://a.test/c.yaml", "c.yaml", "0" * 64),))),
]


def test_the_key_is_of_all_that_goes_into_a_bundle() -> None:
    keys = {Release("1.36.3", Sites()).key, *(other.key for other in OTHERS)}
    assert len(keys) == len(OTHERS) + 1


def test_the_key_follows_the_version_of_crictl(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Release("1.36.3", Sites()).key
    monkeypatch.setattr(crictl, "crictl_version", lambda kubernetes: "v1.36.9")
    assert Release("1.36.3", Sites()).key != before


def test_the_key_does_not_care_for_order_and_who_vouches() -> None:
    refs = ("a.test/b:1", "a.test/c:1")
    one, two = (
        Release("1.36.3", Sites(ca=ca), Wanted(order))
        for ca, order in ((None, refs), (Path("/ca.pem"), refs[::-1]))
    )
    assert one.key == two.key


# Versions


def ask(mirror: Mirror, wanted: str) -> str:
    return versions.resolve(wanted, Sites(mirror.url), Web(FakeClock()))


@pytest.mark.parametrize(("wanted", "found"), [("1.36", "1.36.4"), ("1.35", "1.35.9"), ("1.36.4", "1.36.4")])
def test_a_version_is_found(mirror: Mirror, wanted: str, found: str) -> None:
    assert ask(mirror, wanted) == found


@pytest.mark.parametrize("wanted", ["1.36.40", "1.37", "1.37.1"])
def test_an_unknown_version_names_the_newest_of_every_minor(mirror: Mirror, wanted: str) -> None:
    with pytest.raises(ConfigError, match=f"has no Kubernetes {wanted}") as error:
        ask(mirror, wanted)
    assert (error.value.key, error.value.exit_code) == ("kubernetes", 2)
    assert "1.35.9, 1.36.4" in error.value.hint


@pytest.mark.parametrize("text", [b"", b"v1.35.9", b"<html>", b"v1.36.4-rc.1", "v1.36.\u0663".encode()])
def test_a_text_that_is_no_version_of_the_minor_is_refused(mirror: Mirror, text: bytes) -> None:
    mirror.put("https://dl.k8s.io/release/stable-1.36.txt", text, checked=False)
    with pytest.raises(LabError, match=r"stable-1\.36\.txt holds no version"):
        ask(mirror, "1.36")


# What is chosen


def test_a_release_in_the_cache_is_taken_without_a_question(mirror: Mirror, cache: Path) -> None:
    for version in ("1.35.9", "1.36.3", "1.36.10"):
        put(cache, Release(version, Sites(mirror.url)))
    put(cache, Release("1.36.11", Sites("https://another.test")))
    artifacts = f"{{mirror: '{mirror.url}'}}"
    assert artifacts_of(lab("1.36", artifacts)).kubernetes == "1.36.10"
    assert artifacts_of(lab("1.36.7", artifacts)).kubernetes == "1.36.7"
    assert mirror.asked == []
    assert artifacts_of(lab("1.36", artifacts, "flannel")).kubernetes == "1.36.4"


@pytest.mark.parametrize(
    ("released", "kind"), [("1.36.99", Release), ("1.36.0", source.Source), (None, source.Source)]
)
def test_auto_takes_the_newest_in_the_cache(cache: Path, released: str | None, kind: type) -> None:
    put(cache, source.resolve("1.36"))
    if released:
        put(cache, Release(released, sites.PUBLIC))
    artifacts = artifacts_of(lab())
    assert isinstance(artifacts, Cached)
    assert isinstance(artifacts.origin, kind)
    assert artifacts.find() is not None
    assert tools(lab()) == []


def unanswered(why: str) -> None:
    """Check that auto falls back to the source, and says why."""
    artifacts = artifacts_of(lab())
    assert isinstance(artifacts, Cached)
    assert isinstance(artifacts.origin, source.Source)
    assert why in artifacts.why
    assert tools(lab()) == ["go"]


def test_auto_takes_the_source_where_nothing_can_be_reached() -> None:
    unanswered("the proxy http://127.0.0.1:9 refuses the connection")


def test_auto_takes_the_source_where_the_site_says_nothing(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choose, "ANSWER_WITHIN", 0.1)
    monkeypatch.setattr(sites, "PUBLIC", Sites(mirror.url))
    mirror.faults["/dl.k8s.io/release/stable-1.36.txt"] = [hang] * 9
    unanswered("0.1 s")


def test_auto_takes_the_source_where_the_site_is_busy_and_does_not_wait(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sites, "PUBLIC", Sites(mirror.url))
    mirror.faults["/dl.k8s.io/release/stable-1.36.txt"] = [answer(503, Retry_After="60")] * 9
    unanswered("503 (Service Unavailable)")


def test_auto_names_all_versions_when_none_fits(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sites, "PUBLIC", Sites(mirror.url))
    with pytest.raises(ConfigError) as error:
        artifacts_of(lab("1.36.77"))
    message, hint = error.value.message, error.value.hint
    assert message.startswith("kubernetes: version 1.36.77 cannot be built from source, and ")
    assert message.endswith("has no Kubernetes 1.36.77")
    assert "1.36.4" in hint
    assert source.resolve("1.36").kubernetes in hint


def test_without_go_the_reason_is_told_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    artifacts = artifacts_of(lab())
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingTool, match=r"without Go .*refuses the connection") as error:
        artifacts.build(RecordingReporter())
    assert error.value.hint == "kubelab doctor --fix"


@pytest.mark.parametrize(
    ("artifacts", "cni", "needed"),
    [
        ("release", "bridge", ["skopeo"]),
        ("{mirror: 'https://m.test'}", "calico", ["skopeo"]),
        ("source", "bridge", ["go"]),
        ("release", "cilium", ["skopeo", "helm"]),
        ("release", "{name: cilium, manifest: own.yaml}", ["skopeo"]),
        ("{bundle: /nowhere}", "cilium", ["helm"]),
    ],
)
def test_tools_are_asked_for_only_where_the_lab_needs_them(
    artifacts: str, cni: str, needed: list[str]
) -> None:
    assert tools(lab("1.36.3", artifacts, cni)) == needed


# The CNI


def test_a_lab_that_says_nothing_gets_calico_where_its_images_can_be_had() -> None:
    released, built = (
        artifacts_of(lab("1.36.3", "release", "auto")),
        artifacts_of(lab("1.36", "source", "auto")),
    )
    assert decide(CniConfig(name="auto"), released.has).name == "calico"
    assert decide(CniConfig(name="auto"), built.has).name == "bridge"
    assert released.key == artifacts_of(lab("1.36.3", "release", "calico")).key
    assert released.key != artifacts_of(lab("1.36.3", "release", "bridge")).key


@pytest.mark.parametrize("cni", ["auto", "bridge", "calico"])
def test_auto_takes_a_bundle_without_calico_unless_it_is_asked_for(cache: Path, cni: str) -> None:
    put(cache, source.resolve("1.36"))
    put(cache, Release("1.36.99", sites.PUBLIC))
    if cni != "calico":
        assert artifacts_of(lab(cni=cni)).kubernetes == "1.36.99"
    put(cache, Release("1.36.98", sites.PUBLIC, wanted_of(CniConfig(name="calico"))))
    assert artifacts_of(lab(cni=cni)).kubernetes == ("1.36.98" if cni == "calico" else "1.36.99")


def test_auto_builds_nothing_that_lacks_the_cni_that_is_asked_for() -> None:
    with pytest.raises(LabError, match=r"127\.0\.0\.1:9 refuses the connection") as caught:
        artifacts_of(lab(cni="calico"))
    assert "cni: bridge" in caught.value.hint


@pytest.mark.parametrize("cni", ["calico", "flannel", "cilium", "{name: own, manifest: 'https://m.test/a'}"])
def test_what_is_built_from_source_has_no_cni_and_says_so_at_once(cni: str) -> None:
    with pytest.raises(ConfigError, match="artifacts: source does not have") as caught:
        artifacts_of(lab(artifacts="source", cni=cni))
    assert (caught.value.key, caught.value.exit_code) == ("cni", 2)
    assert "cni: bridge" in caught.value.hint


def test_a_version_that_nobody_has_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match=r"1\.36\.99 cannot be built") as caught:
        artifacts_of(lab("1.36.99", "source"))
    assert (caught.value.key, caught.value.exit_code) == ("kubernetes", 2)


# The next way


@pytest.fixture
def answering(mirror: Mirror, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Mirror:
    """The site of the release answers, and Go is there."""
    (tmp_path / "go").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sites, "PUBLIC", Sites(mirror.url))
    return mirror


def failure(*, of_cni: bool) -> Unavailable:
    error = Unavailable("https://a.test/b", "https://a.test/b: the server answers 403 (Forbidden)")
    error.of_cni = of_cni
    return error


def test_without_the_parts_of_calico_auto_goes_on_with_the_bridge(answering: Mirror) -> None:
    config = lab(cni="auto")
    first = artifacts_of(config)
    second = first.otherwise(failure(of_cni=True))
    assert second is not None
    assert (second.how, second.artifacts.kubernetes) == ("with cni: bridge", "1.36.4")
    assert second.artifacts.key == Release("1.36.4", sites.PUBLIC).key
    assert with_cni(config, second.artifacts).cni.name == "bridge"
    third = second.artifacts.otherwise(failure(of_cni=False))
    assert third is not None
    assert third.artifacts.kind == "source"


@pytest.mark.parametrize(("cni", "with_bridge"), [("auto", " and cni: bridge"), ("bridge", ""), ("none", "")])
def test_without_the_release_auto_goes_on_with_the_source(
    answering: Mirror, cni: str, with_bridge: str
) -> None:
    other = artifacts_of(lab(cni=cni)).otherwise(failure(of_cni=False))
    assert other is not None
    built = source.resolve("1.36")
    assert (other.artifacts.kind, other.artifacts.key) == ("source", built.key)
    assert other.how == f"with Kubernetes {built.kubernetes} from source{with_bridge}"
    assert other.artifacts.otherwise(failure(of_cni=False)) is None


def test_the_source_is_no_way_without_go_or_for_a_version_that_is_not_in_it(
    answering: Mirror, tmp_path: Path
) -> None:
    assert artifacts_of(lab("1.36.4")).otherwise(failure(of_cni=False)) is None
    (tmp_path / "go").unlink()
    assert artifacts_of(lab()).otherwise(failure(of_cni=False)) is None


@pytest.mark.parametrize(
    ("artifacts", "cni"),
    [("auto", "calico"), ("release", "auto"), ("release", "bridge"), ("{mirror: 'https://m.test'}", "auto")],
)
@pytest.mark.parametrize("of_cni", [True, False])
def test_what_lab_yaml_names_is_not_replaced(
    answering: Mirror, artifacts: str, cni: str, of_cni: bool
) -> None:
    version = "1.36.4" if artifacts != "auto" else "1.36"
    assert artifacts_of(lab(version, artifacts, cni)).otherwise(failure(of_cni=of_cni)) is None


def test_each_way_is_told_once_and_tried_once(answering: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def make(origin: Release | source.Source, root: Path, *rest: object) -> None:
        cancel = rest[-1]
        assert isinstance(cancel, threading.Event)
        assert not cancel.is_set()
        # As the first failure of several downloads does.
        cancel.set()
        made.append(f"{origin.kind} {bool(origin.wanted)}")
        if origin.kind != "source":
            raise failure(of_cni=bool(origin.wanted))
        write_index(root, kubernetes=origin.kubernetes, source="source", recipe=origin.key, entries=[])

    for kind in (Release, source.Source):
        monkeypatch.setattr(kind, "make", make)
        monkeypatch.setattr(kind, "check", lambda *_: None)
    reporter, cancel = RecordingReporter(), threading.Event()
    artifacts, bundle = build(artifacts_of(lab(cni="auto")), reporter, cancel)
    assert made == ["mirror True", "mirror False", "source False"]
    assert (artifacts.kind, bundle.source) == ("source", "source")
    told = [event["text"] for event in reporter.of("warn")]
    assert [text.partition("which continues ")[2] for text in told] == [
        "with cni: bridge",
        f"with Kubernetes {bundle.kubernetes} from source",
    ]
    assert all("403 (Forbidden)" in text for text in told)
    assert not cancel.is_set()


# A question with a limit


def test_an_answer_or_an_error_is_handed_on() -> None:
    assert within(10, lambda: 3, "it") == 3
    with pytest.raises(ConfigError):
        within(10, lambda: parse_config("{}").name, "it")


def test_one_that_never_answers_is_left_behind() -> None:
    gate = threading.Event()
    with pytest.raises(WaitTimeout, match=r"dl\.k8s\.io did not answer within 0\.05 s"):
        within(0.05, gate.wait, "dl.k8s.io")
    gate.set()
