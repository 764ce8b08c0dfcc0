"""`kubelab bundle create` from a mirror on loopback, with stand-ins for skopeo, mmdebstrap and apt-get."""

from __future__ import annotations

import ast
import hashlib
import json
import marshal
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from provision.artifacts import debian, sites
from provision.artifacts.bundle import Bundle
from provision.artifacts.cache import Cached
from provision.artifacts.images import registry
from provision.artifacts.release import origin
from provision.artifacts.release.crictl import crictl_url
from provision.artifacts.wanted import Wanted, WantedFile
from provision.cli import group
from provision.cni.calico import Calico
from provision.cni.choose import cni_of
from provision.config.kubernetes_versions import MINORS
from provision.config.schema import load_config, parse_config
from provision.errors import LabError
from provision.lab.artifacts import artifacts_of, tools_of
from provision.report.base import RecordingReporter
from provision.workspace import Workspace
from tests.fakes import stubs
from tests.fakes.artifacts.mirror import Mirror, answer, certificates, cut, serving, wrong_byte

REFS = [
    "registry.k8s.io/kube-apiserver:v1.36.3",
    "registry.k8s.io/coredns/coredns:v9.9.9",
    "registry.k8s.io/pause:3.99",
]
CALICO = "quay.io/calico/node:v3.33.1"
MANIFEST = "https://raw.githubusercontent.com/projectcalico/calico/v3.33.1/manifests/calico.yaml"
STAND_IN = {"name": "calico", "version": "v3.33.1"}
DAEMON_SET = f"""
apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: calico-node, namespace: kube-system}}
spec: {{template: {{spec: {{containers: [{{name: calico-node, image: "{CALICO}"}}]}}}}}}
""".encode()
KUBEADM = "\n".join(["#!/bin/sh", *(f"echo {ref}" for ref in REFS), ""])
PROGRAMS = {"kubeadm": KUBEADM.encode(), "kubelet": b"kubelet" * 999, "kubectl": b"kubectl"}
MMDEBSTRAP = """
import io, sys, tarfile
busybox = b"#!/bin/sh\\necho busybox sh\\nexit\\nBusyBox v1.37.0 (Debian 1:1.37.0-6) multi-call"
out = sys.argv[sys.argv.index("trixie") + 1]
with tarfile.open(out, "w") as tar:
    info = tarfile.TarInfo("./usr/bin/busybox")
    info.size, info.mode = len(busybox), 0o755
    tar.addfile(info, io.BytesIO(busybox))
"""


class Bench:
    """A mirror, an empty cache, a lab.yaml, and the stand-ins."""

    def __init__(self, root: Path, mirror: Mirror) -> None:
        self.root = root
        self.mirror = mirror
        self.bin = root / "bin"
        self.bin.mkdir()
        self.registry: dict[str, dict[str, str]] = {"images": {}, "fail": {}}
        self.hold(*(f"registry.test/k8s/{ref.partition('/')[2]}" for ref in REFS))
        stubs.install("skopeo", self.bin / "skopeo")
        self.stub("mmdebstrap", MMDEBSTRAP)
        self.stub("apt-get", 'print("Debian|main|trixie|mirror:/debian")')
        mirror.release("1.36.3", PROGRAMS)
        self.lab()

    def stub(self, name: str, text: str) -> None:
        (self.bin / name).write_text(f"#!{sys.executable} -IS\n{text}")
        (self.bin / name).chmod(0o755)

    def hold(self, *refs: str, **fail: str) -> None:
        """Put images into the registry, and say which parts of a reference fail with which words."""
        self.registry["images"] |= {ref: f"image {ref.rpartition('/')[2]}" for ref in refs}
        self.registry["fail"] = fail
        (self.bin / "registry").write_bytes(marshal.dumps(self.registry))

    def lab(self, kubernetes: str = "1.36", cni: object = "bridge", **mirror: object) -> None:
        where = {"files": self.mirror.url, "images": "registry.test/k8s", **mirror}
        lab = {"name": "lab", "kubernetes": kubernetes, "cni": cni, "artifacts": {"mirror": where}}
        (self.root / "lab.yaml").write_text(yaml.safe_dump(lab))

    def run(self, *options: str) -> tuple[int, dict[str, dict[str, Any]]]:
        """Return the exit code of `kubelab bundle create`, and event name -> its last event."""
        lab = str(self.root / "lab.yaml")
        result = CliRunner().invoke(group, ["bundle", "create", "--json", "-f", lab, *options])
        events = [json.loads(line) for line in result.stdout.splitlines()]
        assert "secret" not in result.output
        return result.exit_code, {event["event"]: event for event in events}

    def create(self) -> Bundle:
        code, events = self.run()
        assert code == 0, events["error"]
        return Bundle.open(Path(events["result"]["data"]["folder"]))

    def fails(self) -> dict[str, Any]:
        code, events = self.run()
        assert code == events["error"]["exit_code"]
        bundles = self.root / "cache/bundles"
        assert not bundles.exists() or {path.suffix for path in bundles.iterdir()} == {".lock"}
        error: dict[str, Any] = events["error"]
        return error

    def calls(self) -> list[list[str]]:
        file = self.bin / "calls"
        return [ast.literal_eval(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    (tmp_path / "keyring").touch()
    monkeypatch.setattr(debian, "KEYRING", tmp_path / "keyring")
    monkeypatch.setattr(origin, "SPACE_MIB", 0)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.setenv("KUBELAB_CACHE", str(tmp_path / "cache"))
    with serving() as mirror:
        yield Bench(tmp_path, mirror)


def kubelet(bench: Bench) -> str:
    return next(path for path in bench.mirror.files if path.endswith("/kubelet"))


def test_the_bundle_holds_what_one_from_source_holds(bench: Bench) -> None:
    bundle = bench.create()
    bundle.verify()
    assert (bundle.kubernetes, bundle.source) == ("1.36.3", f"mirror {bench.mirror.url}")
    assert {entry.ref for entry in bundle.images()} == {*REFS, "docker.io/library/busybox:1.37"}
    assert {entry.name for entry in bundle.images()} == {"kube-apiserver", "coredns", "pause", "busybox"}
    cni = [f"cni/{name}" for name in origin.CNI_PROGRAMS]
    assert {entry.path for entry in bundle.binaries()} == {f"binaries/{name}" for name in (*PROGRAMS, *cni)}
    assert all(bundle.path(entry).stat().st_mode & 0o100 for entry in bundle.binaries())
    versions = {entry.name: entry.version for entry in (*bundle.binaries(), *bundle.images())}
    assert (versions["kubelet"], versions["bridge"]) == ("v1.36.3", origin.cni_version())
    assert (versions["coredns"], versions["busybox"]) == ("v9.9.9", "1:1.37.0-6")


def test_the_digest_of_the_registry_is_noted_and_fetched_by(bench: Bench) -> None:
    bundle = bench.create()
    digest = bundle.image("pause").digest
    (copy,) = [call for call in bench.calls() if f"docker-archive:raw.tar:{REFS[2]}" in call]
    assert f"docker://registry.test/k8s/pause@{digest}" in copy
    assert copy[2:6] == ["--override-os", "linux", "--override-arch", "amd64"]


def test_the_second_time_nothing_is_asked_or_done(bench: Bench) -> None:
    first = bench.create()
    asked, calls = len(bench.mirror.asked), len(bench.calls())
    assert bench.create() == first
    assert (len(bench.mirror.asked), len(bench.calls())) == (asked, calls)
    assert not list((bench.root / "cache/downloads").iterdir())


def test_the_same_files_give_the_same_digest_wherever_they_come_from(bench: Bench) -> None:
    first = bench.create()
    bench.hold(*(f"other.test/{ref.partition('/')[2]}" for ref in REFS))
    bench.lab(images="other.test")
    second = bench.create()
    assert first.root != second.root
    assert first.digest == second.digest


def test_a_minor_means_its_newest_patch(bench: Bench) -> None:
    bench.mirror.release("1.36.4", PROGRAMS)
    assert bench.create().kubernetes == "1.36.4"


def test_another_version_is_made_from_the_same_mirror(bench: Bench) -> None:
    bench.mirror.release("1.35.9", PROGRAMS)
    code, events = bench.run("--kubernetes", "1.35")
    assert (code, events["result"]["data"]["kubernetes"]) == (0, "1.35.9")


def test_an_unknown_version_names_those_near(bench: Bench) -> None:
    bench.mirror.release("1.35.9", PROGRAMS)
    bench.lab("1.36.77")
    error = bench.fails()
    assert error["exit_code"] == 2
    assert error["message"] == f"kubernetes: {bench.mirror.url} has no Kubernetes 1.36.77"
    assert "1.35.9, 1.36.3" in error["hint"]


def test_a_minor_that_is_not_there_names_those_near(bench: Bench) -> None:
    bench.lab("1.37")
    error = bench.fails()
    assert (error["exit_code"], "1.36.3" in error["hint"]) == (2, True)


def test_a_broken_connection_costs_nothing(bench: Bench) -> None:
    bench.mirror.faults[kubelet(bench)] = [cut(700)]
    bench.create()
    ranges = [headers.get("Range") for path, headers in bench.mirror.asked if path == kubelet(bench)]
    assert ranges == [None, "bytes=700-"]


def test_a_wrong_checksum_names_the_file_and_the_next_run_has_the_others(bench: Bench) -> None:
    bench.mirror.faults[kubelet(bench)] = [wrong_byte]
    error = bench.fails()
    assert error["exit_code"] == 1
    assert kubelet(bench) in error["message"]
    assert "expected sha256:" in error["message"]
    assert "got sha256:" in error["message"]
    assert not list((bench.root / "cache/downloads").rglob("kubelet*"))
    bench.create()


def test_a_missing_checksum_of_the_plugins_is_not_a_missing_version(bench: Bench) -> None:
    path = next(path for path in bench.mirror.files if path.endswith(".tgz.sha256"))
    del bench.mirror.files[path]
    error = bench.fails()
    assert (error["exit_code"], path in error["message"]) == (1, True)


def test_a_page_where_a_checksum_should_be_is_refused(bench: Bench) -> None:
    bench.mirror.files[f"{kubelet(bench)}.sha256"] = b"<html>Please log in</html>"
    assert "holds no sha256" in bench.fails()["message"]


def test_a_page_where_a_version_should_be_is_refused(bench: Bench) -> None:
    path = next(path for path in bench.mirror.files if path.endswith("stable-1.36.txt"))
    bench.mirror.files[path] = b"<html>Please log in</html>"
    assert "holds no version" in bench.fails()["message"]


def test_a_password_is_wanted_and_taken_from_netrc(bench: Bench, tmp_path: Path) -> None:
    ca, pair = certificates(tmp_path)
    with serving(pair) as secure:
        secure.release("1.36.3", PROGRAMS)
        secure.login = "me:secret"
        bench.lab(files=secure.url, ca=str(ca))
        error = bench.fails()
        assert (error["exit_code"], "~/.netrc" in error["hint"]) == (1, True)
        (bench.root / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
        bench.create()


def test_a_refusal_is_told_with_its_status(bench: Bench) -> None:
    bench.mirror.faults[kubelet(bench)] = [answer(403)]
    assert "403 (Forbidden)" in bench.fails()["message"]


def test_an_authority_of_the_users_own_goes_to_skopeo_too(bench: Bench, tmp_path: Path) -> None:
    ca, pair = certificates(tmp_path)
    with serving(pair) as mirror:
        mirror.files = bench.mirror.files
        bench.mirror = mirror
        bench.lab()
        assert "ca: FILE" in bench.fails()["hint"]
        bench.lab(ca=ca.name)
        bench.create()
    for call in bench.calls():
        option = "--src-cert-dir" if "copy" in call else "--cert-dir"
        assert call.index(option) > 0


def test_an_expired_certificate_is_named(bench: Bench, tmp_path: Path) -> None:
    ca, pair = certificates(tmp_path, expired=True)
    with serving(pair) as mirror:
        bench.mirror = mirror
        bench.lab(ca=ca.name)
        error = bench.fails()
    assert (error["exit_code"], "certificate has expired" in error["message"]) == (1, True)


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (
            "unable to retrieve auth token: unauthorized: bad login",
            "wants a password",
            "skopeo login registry.test",
        ),
        ("reading manifest 3.99: manifest unknown", "has no such image", "versions"),
        ("too many requests to registry: 429 (Too Many Requests)", "the limit is reached", "mirror"),
        ("x509: certificate has expired or is not yet valid", "has expired", "clock"),
        ("x509: certificate signed by unknown authority", "authority unknown to this host", "ca: FILE"),
        ("http: server gave HTTP response to HTTPS client", "without TLS", "http://registry.test"),
        ("dial tcp: lookup registry.test: no such host", "not known here", "HTTPS_PROXY"),
        ("Get https://cdn.test/blob?token=secret: EOF", "https://cdn.test/blob", "HTTPS_PROXY"),
    ],
)
def test_what_skopeo_says_is_told_in_our_words(bench: Bench, words: str, message: str, hint: str) -> None:
    bench.hold(pause=words)
    error = bench.fails()
    assert error["exit_code"] == 1
    assert error["message"].startswith("the image registry.k8s.io/pause:3.99")
    assert message in error["message"]
    assert hint in error["hint"]


def test_images_that_came_are_not_fetched_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    # One after the other: those that are under way when one fails are given up.
    monkeypatch.setattr(registry, "AT_ONCE", 1)
    bench.hold(pause="manifest unknown")
    bench.fails()
    before = len(bench.calls())
    bench.hold()
    bench.create()
    copied = [call[-1] for call in bench.calls()[before:] if "copy" in call]
    assert copied == [f"docker-archive:raw.tar:{REFS[2]}"]


def test_without_skopeo_the_doctor_is_named(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    (bench.bin / "skopeo").unlink()
    for name in ("sh", "env"):
        (bench.bin / name).symlink_to(shutil.which(name) or "/missing")
    monkeypatch.setenv("PATH", str(bench.bin))
    error = bench.fails()
    assert "`skopeo` is not installed" in error["message"]
    assert error["hint"] == "kubelab doctor --fix"


def test_an_image_that_is_not_what_it_says_is_refused(bench: Bench) -> None:
    broken = (
        (stubs.STUBS / "skopeo.py").read_text().replace('"layer.tar": content', '"layer.tar": content + b"x"')
    )
    bench.stub("skopeo", broken)
    assert "is not sha256:" in bench.fails()["message"]


# crictl


def crictl(bench: Bench) -> str:
    """Put crictl beside the release, and return its path."""
    bench.mirror.release("1.36.3", PROGRAMS, crictl=b"crictl" * 99)
    return f"/{crictl_url('1.36.3').partition('://')[2]}"


def test_crictl_is_in_the_bundle_where_the_site_has_it(bench: Bench) -> None:
    crictl(bench)
    code, events = bench.run()
    assert (code, "warn" in events) == (0, False)
    bundle = Bundle.open(Path(events["result"]["data"]["folder"]))
    (entry,) = [entry for entry in bundle.binaries() if entry.name == "crictl"]
    assert (entry.path, entry.version) == ("binaries/crictl", "v1.36.0")
    assert bundle.path(entry).read_bytes() == b"crictl" * 99
    assert bundle.path(entry).stat().st_mode & 0o111


@pytest.mark.parametrize("missing", [["", ".sha256"], [""], [".sha256"]], ids=["both", "archive", "checksum"])
def test_a_site_without_crictl_gives_a_bundle_without_it(bench: Bench, missing: list[str]) -> None:
    path = crictl(bench)
    for suffix in missing:
        del bench.mirror.files[f"{path}{suffix}"]
    code, events = bench.run()
    assert code == 0
    assert f"{bench.mirror.url}{path}" in events["warn"]["text"]
    assert "404" in events["warn"]["text"]
    assert "kubelab bundle create --into" in events["warn"]["text"]
    bundle = Bundle.open(Path(events["result"]["data"]["folder"]))
    assert "crictl" not in {entry.name for entry in bundle.entries}
    assert not (bundle.root / "binaries/crictl").exists()
    assert "warn" not in bench.run()[1]


def test_crictl_makes_no_other_difference(bench: Bench) -> None:
    without = bench.create()
    crictl(bench)
    assert bench.create() == without
    bench.hold(*(f"other.test/{ref.partition('/')[2]}" for ref in REFS))
    bench.lab(images="other.test")
    bundle = bench.create()
    assert {entry.name for entry in set(bundle.entries) - set(without.entries)} == {"crictl"}
    assert set(without.entries) < set(bundle.entries)


@pytest.mark.parametrize("suffix", ["", ".sha256"])
@pytest.mark.parametrize("status", [403, 500])
def test_crictl_that_is_refused_is_left_out_like_one_that_is_not_there(
    bench: Bench, suffix: str, status: int
) -> None:
    path = f"{crictl(bench)}{suffix}"
    bench.mirror.faults[path] = [answer(status, Retry_After="1000")]
    code, events = bench.run()
    assert code == 0
    assert f"{path}: the server answers {status}" in events["warn"]["text"]
    assert "no cluster needs" in events["warn"]["text"]


def test_crictl_with_another_checksum_is_refused(bench: Bench) -> None:
    path = crictl(bench)
    bench.mirror.faults[path] = [wrong_byte]
    assert f"{path} is not what it should be: expected sha256:" in bench.fails()["message"]


def test_a_damaged_archive_of_crictl_is_named(bench: Bench) -> None:
    path = crictl(bench)
    bench.mirror.put(crictl_url("1.36.3"), bench.mirror.files[path][:-20])
    error = bench.fails()
    assert error["exit_code"] == 1
    assert error["message"].startswith(f"{bench.mirror.url}{path} is damaged: ")
    crictl(bench)
    bench.create()


# What a CNI wants beside it


def test_what_a_cni_wants_is_in_the_bundle_and_in_its_key(bench: Bench) -> None:
    crictl(bench)
    bench.hold(f"registry.test/k8s/{CALICO.partition('/')[2]}")
    bench.mirror.put(MANIFEST, DAEMON_SET, checked=False)
    without = bench.create()
    bench.lab(cni=STAND_IN)
    code, events = bench.run()
    assert code == 0, events["error"]
    bundle = Bundle.open(Path(events["result"]["data"]["folder"]))
    assert bundle.root != without.root
    (manifest,) = bundle.manifests()
    assert manifest.path == "manifests/calico-v3.33.1.yaml"
    assert bundle.path(manifest).read_bytes() == DAEMON_SET
    (node,) = [entry for entry in bundle.images() if entry.ref == CALICO]
    assert (node.name, node.version) == ("quay.io_calico_node_v3.33.1", "v3.33.1")
    said = events["warn"]["text"]
    assert "calico.yaml was not checked" in said
    # What it says to write into lab.yaml holds, there and against the same bundle.
    bench.lab(cni=STAND_IN | {"sha256": re.search("sha256:([0-9a-f]{64})", said)[1]})  # type: ignore[index]
    code, events = bench.run()
    assert (code, "warn" in events) == (0, False)
    bench.mirror.put(MANIFEST, DAEMON_SET + b"#", checked=False)
    bench.lab(cni=STAND_IN | {"sha256": "0" * 64})
    assert (
        f"calico.yaml is not what it should be: expected sha256:{'0' * 64}, got"
        in bench.run()[1]["error"]["message"]
    )


def test_a_manifest_of_a_known_version_is_held_to_its_checksum(bench: Bench) -> None:
    bench.mirror.put(MANIFEST.replace("v3.33.1", "v3.33.0"), DAEMON_SET, checked=False)
    bench.lab(cni="calico")
    error = bench.fails()
    assert error["exit_code"] == 1
    got = hashlib.sha256(DAEMON_SET).hexdigest()
    expected = Calico.checksums["v3.33.0"]
    assert (
        f"/manifests/calico.yaml is not what it should be: expected sha256:{expected}, got sha256:{got}"
        in error["message"]
    )
    assert not list((bench.root / "cache").rglob("calico*"))


def test_a_mirror_without_the_cni_says_what_to_do(bench: Bench) -> None:
    bench.lab(cni="calico")
    error = bench.fails()
    assert "/manifests/calico.yaml: the server answers 404" in error["message"]
    assert "cni: bridge" in error["hint"]


def test_a_program_that_is_missing_is_no_matter_of_the_cni(bench: Bench) -> None:
    bench.mirror.faults["/dl.k8s.io/release/v1.36.3/bin/linux/amd64/kubelet"] = [answer(404)]
    error = bench.fails()
    assert "/kubelet: the server answers 404" in error["message"]
    assert "incomplete" in error["hint"]


GITHUB = "/github.com/containernetworking/plugins"
RAW = "/raw.githubusercontent.com/projectcalico/calico"


def refuse(bench: Bench, start: str, status: int, **headers: str) -> None:
    """Let every request below a path be refused, each time."""
    for path in [*bench.mirror.files, f"/{MANIFEST.partition('://')[2]}"]:
        if path.startswith(start):
            bench.mirror.faults[path] = [answer(status, **headers)] * 9


@pytest.mark.parametrize(
    ("start", "status", "told", "ways"),
    [
        (GITHUB, 403, "403 (Forbidden)", ["artifacts: source", "with cni: bridge"]),
        (RAW, 429, "asks to come back in 1800 s", ["wait a while", "cni: bridge"]),
    ],
)
def test_a_site_that_fails_beside_others_names_the_other_ways(
    bench: Bench, start: str, status: int, told: str, ways: list[str]
) -> None:
    bench.lab(cni=STAND_IN)
    bench.mirror.put(MANIFEST, DAEMON_SET, checked=False)
    refuse(bench, start, status, Retry_After="1800")
    error = bench.fails()
    assert start in error["message"]
    assert told in error["message"]
    assert all(way in error["hint"] for way in ways)
    assert ("artifacts: source" in error["hint"]) is (start == GITHUB)


def test_an_image_of_the_cni_that_does_not_come_names_the_way_without_it(bench: Bench) -> None:
    bench.mirror.put(MANIFEST, DAEMON_SET, checked=False)
    bench.lab(cni=STAND_IN)
    error = bench.fails()
    assert f"the image {CALICO}" in error["message"]
    assert "cni: bridge" in error["hint"]
    assert "artifacts: source" not in error["hint"]
    bench.hold(f"registry.test/k8s/{CALICO.partition('/')[2]}", pause="too many requests")
    error = bench.fails()
    assert error["message"].startswith("the image registry.k8s.io/pause:3.99")
    assert "artifacts: source" in error["hint"]


@pytest.mark.parametrize("fault", ["manifest", "image"])
def test_auto_goes_on_with_the_bridge_where_calico_cannot_be_had(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(sites, "PUBLIC", sites.Sites(bench.mirror.url, {"": "registry.test/k8s"}))
    monkeypatch.setattr(Calico, "default_version", STAND_IN["version"])
    (bench.root / "lab.yaml").write_text("name: lab\n")
    crictl(bench)
    if fault == "image":
        bench.mirror.put(MANIFEST, DAEMON_SET, checked=False)
    code, events = bench.run()
    assert code == 0, events["error"]
    bundle = Bundle.open(Path(events["result"]["data"]["folder"]))
    assert {entry.ref for entry in bundle.images()} == {*REFS, "docker.io/library/busybox:1.37"}
    assert not bundle.manifests()
    (line,) = events["warn"]["text"].splitlines()
    assert line.endswith("; lab.yaml leaves the choice to kubelab, which continues with cni: bridge")
    assert ("/manifests/calico.yaml" if fault == "manifest" else CALICO) in line
    if fault == "image":
        # What came for the first way was not fetched again for the second.
        assert bench.mirror.paths().count(kubelet(bench)) == 1


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ("writing blob: write /x: no space left on device", "the disk is full", "KUBELAB_CACHE"),
        ("Zstd compression is not supported for docker images", "skopeo 1.14", "newer skopeo"),
        ("digest did not match: expected a, got b", "does not have the requested digest", ""),
    ],
)
def test_a_fault_of_this_host_is_no_fault_of_the_site(
    bench: Bench, words: str, message: str, hint: str
) -> None:
    bench.hold(pause=words)
    error = bench.fails()
    assert message in error["message"]
    assert "artifacts: source" not in error.get("hint", "")
    assert hint in error.get("hint", "")


def test_what_skopeo_puts_aside_lies_in_the_cache(bench: Bench) -> None:
    bench.create()
    copies = [call for call in bench.calls() if "copy" in call]
    folders = {call[call.index("--tmpdir") + 1] for call in copies if call.index("--tmpdir") == 0}
    assert len(folders) == len(copies) == len(REFS)
    assert all(Path(folder).is_relative_to(bench.root / "cache/downloads") for folder in folders)


def test_a_given_bundle_is_asked_what_it_has(bench: Bench) -> None:
    bundle = bench.create()
    folder = yaml.safe_dump({"name": "lab", "artifacts": {"bundle": str(bundle.root)}})
    artifacts = artifacts_of(parse_config(folder))
    (name,) = {entry.ref for entry in bundle.images()} & {"registry.k8s.io/pause:3.99"}
    assert artifacts.has(Wanted((name,)))
    assert not artifacts.has(Wanted((name, CALICO)))
    assert not artifacts.has(Wanted(files=(WantedFile(MANIFEST, "calico.yaml"),)))


def test_an_image_pinned_by_digest_is_fetched_by_it_and_kept_by_its_tag(bench: Bench) -> None:
    bench.hold("registry.test/k8s/agent:1")
    digest = f"sha256:{hashlib.sha256(b'image agent:1').hexdigest()}"
    ref = "own.example/agent:1"
    (bench.root / "own.yaml").write_text(DAEMON_SET.decode().replace(CALICO, ref))
    bench.lab(cni={"manifest": "own.yaml", "images": [f"{ref}@{digest}"]})
    bundle = bench.create()
    (entry,) = [entry for entry in bundle.images() if entry.ref == ref]
    assert entry.digest == digest
    (copy,) = [call for call in bench.calls() if f"docker-archive:raw.tar:{ref}" in call]
    assert f"docker://registry.test/k8s/agent@{digest}" in copy
    cni_of(load_config(bench.root / "lab.yaml").cni).check(bundle)


def test_a_wanted_file_with_another_checksum_is_refused(bench: Bench) -> None:
    bench.mirror.put(MANIFEST, DAEMON_SET)
    place = sites.Sites(bench.mirror.url, {"": "registry.test/k8s"})
    wanted = Wanted(files=(WantedFile(MANIFEST, "calico.yaml", "0" * 64),))
    with pytest.raises(LabError, match=r"calico\.yaml is not what it should be"):
        Cached(origin.Release("1.36.3", place, wanted)).build(RecordingReporter())


# Release and auto


def test_auto_takes_the_release_when_its_site_answers(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    place = sites.Sites(bench.mirror.url, {"": "registry.test/k8s"})
    monkeypatch.setattr(sites, "PUBLIC", place)
    config = parse_config("{name: lab, cni: bridge}")
    reporter = RecordingReporter()
    artifacts = artifacts_of(config)
    workspace = Workspace(bench.root, config.name)
    assert tools_of(config, workspace, reporter) == ["skopeo"]
    bundle = artifacts.build(reporter)
    said, as_root = reporter.of("info")
    assert as_root["text"].startswith("as root: mmdebstrap ")
    why = f"the cache has no bundle of it, {place.name} answers"
    assert said["text"] == f"fetching Kubernetes 1.36.3 from {place.name}: {why}"
    bench.mirror.asked.clear()
    assert artifacts_of(config).find() == bundle
    assert tools_of(config, workspace, reporter) == []
    assert bench.mirror.asked == []


# What would be fetched


def planned(bench: Bench, *options: str) -> list[dict[str, str]]:
    """Return what `--dry-run` lists, having seen that it fetches nothing."""
    asked, calls = len(bench.mirror.asked), len(bench.calls())
    code, events = bench.run("--dry-run", *options)
    assert code == 0, events["error"]
    assert (len(bench.mirror.asked), len(bench.calls())) == (asked, calls)
    assert not (bench.root / "cache").exists()
    found: list[dict[str, str]] = events["result"]["data"]["fetch"]
    return found


def test_a_dry_run_lists_all_that_is_fetched_then_and_fetches_nothing(bench: Bench) -> None:
    listed = [f"registry.k8s.io/{name}:v1.36.3" for name in origin.CONTROL_PLANE_IMAGES]
    listed += MINORS["1.36"].images
    script = "\n".join(["#!/bin/sh", *(f"echo {ref}" for ref in listed)])
    bench.mirror.release("1.36.3", {**PROGRAMS, "kubeadm": script.encode()}, crictl=b"crictl")
    bench.mirror.put(MANIFEST, DAEMON_SET, checked=False)
    bench.lab("1.36.3", cni=STAND_IN | {"sha256": hashlib.sha256(DAEMON_SET).hexdigest()})
    bench.hold(*(f"registry.test/k8s/{ref.partition('/')[2]}" for ref in (*listed, CALICO)))
    plan = planned(bench)
    bench.create()
    files = {item["where"] for item in plan if item["kind"] == "file"}
    assert files == {f"{bench.mirror.url}{path}" for path in bench.mirror.paths()}
    images = {item["where"] for item in plan if item["kind"] == "image"}
    fetched = {call[-1].removeprefix("docker://") for call in bench.calls() if "inspect" in call}
    # Which images a manifest names is known once it is there, unless it is one that is known.
    assert images - fetched == {"those that calico-v3.33.1.yaml names"}
    assert fetched - images == {"registry.test/k8s/calico/node:v3.33.1"}
    (packages,) = (item for item in plan if item["kind"] == "packages")
    assert "mirror:/debian" in packages["where"]
    assert "busybox-static" in packages["note"]


def test_a_dry_run_of_a_minor_says_what_is_asked_first(bench: Bench) -> None:
    plan = planned(bench)
    assert plan[0]["where"] == f"{bench.mirror.url}/dl.k8s.io/release/stable-1.36.txt"
    assert MINORS["1.36"].patch in plan[0]["note"]
    other = planned(bench, "--kubernetes", "1.36.77")
    assert other[0]["where"].endswith("/v1.36.77/bin/linux/amd64/kubeadm.sha256")
    assert {item["note"] for item in other if "/etcd:" in item["where"]} == {
        "or another version: kubeadm 1.36.77 is asked"
    }


def test_a_dry_run_of_what_is_there_lists_nothing(bench: Bench) -> None:
    bench.create()
    bench.mirror.asked.clear()
    code, events = bench.run("--dry-run")
    assert (code, events["result"]["data"]["fetch"], bench.mirror.asked) == (0, [], [])
    assert "nothing would be fetched" in events["info"]["text"]


def test_a_dry_run_names_the_hosts_and_where_they_send_on_to(bench: Bench) -> None:
    (bench.root / "lab.yaml").write_text("name: lab\n")
    code, events = bench.run("--dry-run")
    assert code == 0
    hosts = events["info"]["text"]
    for host in ("dl.k8s.io (and cdn.dl.k8s.io)", "raw.githubusercontent.com", "quay.io", "registry.k8s.io"):
        assert host in hosts
    images = {item["where"] for item in events["result"]["data"]["fetch"] if item["kind"] == "image"}
    assert "quay.io/calico/third-party-cni-plugins:v3.33.0" in images


def test_a_dry_run_of_a_build_names_the_modules(bench: Bench) -> None:
    (bench.root / "lab.yaml").write_text("{name: lab, artifacts: source}\n")
    modules = [item["where"] for item in planned(bench) if item["kind"] == "module"]
    assert f"k8s.io/kubernetes@v{MINORS['1.36'].patch}" in modules
