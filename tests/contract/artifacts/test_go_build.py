"""The real build against stand-ins for go, mmdebstrap and apt-get on PATH."""

from __future__ import annotations

import json
import stat
import sys
import tarfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from provision.artifacts import debian
from provision.artifacts.bundle import Bundle
from provision.artifacts.cache import Cached
from provision.artifacts.source import origin
from provision.errors import LabError, MissingTool, ToolFailed
from provision.report.base import RecordingReporter

GO = """
import json, os, pathlib, sys
log = pathlib.Path(os.environ["STUB_LOG"])
arguments = sys.argv[1:]
if arguments[0] == "env":
    print(json.dumps({"GOCACHE": str(log.parent), "GOMODCACHE": str(log.parent)}))
    sys.exit()
here = pathlib.Path.cwd()
names = ("CGO_ENABLED", "GOAMD64", "GOARCH", "GOEXPERIMENT", "GOFLAGS", "GOOS", "GOTOOLCHAIN", "GOWORK")
call = {"folder": str(here), "arguments": arguments, "env": {name: os.environ.get(name) for name in names}}
with log.open("a") as file:
    file.write(json.dumps(call) + "\\n")
if here.name == os.environ.get("STUB_FAILS"):
    print("undefined: Cluster", file=sys.stderr)
    sys.exit(2)
assert pathlib.Path(os.environ["GOTMPDIR"]).is_dir()
out = pathlib.Path(arguments[arguments.index("-o") + 1])
tools = {
    "kubernetes": "kubeadm kubectl kubelet kube-apiserver kube-controller-manager kube-proxy kube-scheduler",
    "etcd": "server etcdctl etcdutl", "coredns": "coredns", "pause": "pause",
    "cni-plugins": "bridge host-local",
}
print("example/pkg/compiled", file=sys.stderr)
for tool in tools[here.name].split():
    asked = tool == "kubeadm"
    (out / tool).write_text("#!/bin/sh\\ncat \\"$STUB_IMAGES\\"\\n" if asked else f"program {tool}\\n")
    (out / tool).chmod(0o755)
"""
MMDEBSTRAP = """
import io, os, pathlib, sys, tarfile
assert pathlib.Path(os.environ["TMPDIR"]).name == "work"
suite, out, *sources = sys.argv[sys.argv.index("trixie"):]
assert sources[0] == "deb mirror:/debian trixie main", sys.argv
busybox = b"#!/bin/sh\\necho busybox sh [\\nexit\\nBusyBox v1.37.0 (Debian 1:1.37.0-6) multi-call"
files = {"./usr/bin/busybox": busybox, "./usr/sbin/nft": b"nft", "./etc/hostname": b"host"}
with tarfile.open(out, "w") as tar:
    for name, content in files.items():
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(content), 0o755
        tar.addfile(info, io.BytesIO(content))
"""
APT_GET = """
print("Debian-Security|main|bookworm-security|mirror:/security")
print("Debian|main|bookworm-updates|mirror:/another")
print("Debian|contrib|bookworm|mirror:/contrib")
print("Debian|main|bookworm|mirror:/debian")
print("Vendor|main|bookworm|mirror:/aaa")
"""
IMAGES = [
    "registry.example/kube-apiserver:v1.36.3",
    "registry.example/kube-controller-manager:v1.36.3",
    "registry.example/kube-scheduler:v1.36.3",
    "registry.example/kube-proxy:v1.36.3",
    "registry.example/coredns/coredns:v9.9.9",
    "registry.example/pause:3.99",
    "registry.example/etcd:9.9.9-0",
]


class Bench:
    """A cache, the stand-ins, and what they were called with."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.bin = root / "bin"
        self.bin.mkdir()
        self.log = root / "go.log"
        self.images = root / "images.txt"
        self.reporter = RecordingReporter()
        self.say_images(IMAGES)
        for name, text in {"go": GO, "mmdebstrap": MMDEBSTRAP, "apt-get": APT_GET}.items():
            self.stub(name, text)

    def stub(self, name: str, text: str) -> None:
        file = self.bin / name
        file.write_text(f"#!{sys.executable} -IS\n{textwrap.dedent(text)}")
        file.chmod(0o755)

    def say_images(self, refs: list[str]) -> None:
        self.images.write_text("\n".join(refs) + "\n")

    def artifacts(self) -> Cached:
        return Cached(origin.resolve("1.36.3"))

    def build(self) -> Bundle:
        return self.artifacts().build(self.reporter)

    def calls(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def left(self) -> set[str]:
        """Return what lies in the cache beside locks."""
        return {path.name for path in (self.root / "cache/bundles").iterdir() if path.suffix != ".lock"}


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench(tmp_path)
    keyring = tmp_path / "keyring"
    keyring.touch()
    monkeypatch.setattr(debian, "KEYRING", keyring)
    monkeypatch.setattr(origin, "SPACE_MIB", 0)
    monkeypatch.setenv("PATH", f"{made.bin}:/usr/bin:/bin")
    monkeypatch.setenv("KUBELAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("STUB_LOG", str(made.log))
    monkeypatch.setenv("STUB_IMAGES", str(made.images))
    monkeypatch.setenv("GOFLAGS", "-mod=mod")
    monkeypatch.delenv("GOTOOLCHAIN", raising=False)
    yield made


def layer_of(image: Path) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(image) as tar:
        (name,) = (info.name for info in tar if info.name.endswith("layer.tar"))
        data = tar.extractfile(name)
        assert data is not None
        with tarfile.open(fileobj=data) as layer:
            return {info.name: info for info in layer}


def test_a_bundle_holds_what_kubeadm_asks_for(bench: Bench) -> None:
    bundle = bench.build()
    bundle.verify()
    assert bundle.root.name == bench.artifacts().key
    assert {entry.ref for entry in bundle.images()} == {*IMAGES, "docker.io/library/busybox:1.37"}
    assert {entry.path for entry in bundle.binaries()} == {
        *(f"binaries/{name}" for name in ("kubeadm", "kubectl", "kubelet", "cni/bridge", "cni/host-local")),
        "binaries/etcdctl",
        "binaries/etcdutl",
    }
    assert all(bundle.path(entry).stat().st_mode & stat.S_IXUSR for entry in bundle.binaries())
    assert bench.left() == {bundle.root.name}


def test_an_image_says_what_is_truly_inside(bench: Bench) -> None:
    bundle, pinned = bench.build(), origin.resolve("1.36.3")
    assert bundle.image("etcd").version == pinned.version("etcd")
    assert bundle.image("coredns").version == pinned.version("coredns")
    assert bundle.image("kube-proxy").version == "v1.36.3"
    assert bundle.image("busybox").version == "1:1.37.0-6"
    (etcdctl,) = [entry for entry in bundle.binaries() if entry.name == "etcdctl"]
    assert etcdctl.version == pinned.version("etcd")


def test_programs_lie_where_static_pods_look_for_them(bench: Bench) -> None:
    bundle = bench.build()
    proxy = layer_of(bundle.path(bundle.image("kube-proxy")))
    assert {"usr/local/bin/kube-proxy", "usr/sbin/nft", "sbin"} <= proxy.keys()
    assert "etc/hostname" not in proxy
    etcd = layer_of(bundle.path(bundle.image("etcd")))
    assert {f"usr/local/bin/{name}" for name in ("etcd", "etcdctl", "etcdutl")} <= etcd.keys()
    busybox = layer_of(bundle.path(bundle.image("busybox")))
    assert {name for name in busybox if name.startswith("bin/")} == {"bin/busybox", "bin/sh", "bin/["}
    assert busybox["bin/sh"].linkname == "/bin/busybox"


def test_go_is_called_the_way_that_makes_the_same_bytes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the user has set for other work is in no bundle: its key does not know of it.
    for name, value in {"GOAMD64": "v3", "GOEXPERIMENT": "rangefunc", "GOFLAGS": "-race"}.items():
        monkeypatch.setenv(name, value)
    bench.build()
    calls = bench.calls()
    assert [Path(str(call["folder"])).name for call in calls] == [*origin.MODULES, "pause"]
    for call in calls:
        assert call["env"] == {
            "CGO_ENABLED": "0",
            "GOAMD64": "v1",
            "GOARCH": "amd64",
            "GOEXPERIMENT": "",
            "GOFLAGS": "-trimpath -buildvcs=false -mod=readonly",
            "GOOS": "linux",
            "GOTOOLCHAIN": None,
            "GOWORK": "off",
        }
        assert str(bench.root / "cache") in str(call["folder"])
    arguments = calls[0]["arguments"]
    assert isinstance(arguments, list)
    flags = arguments[arguments.index("-ldflags") + 1]
    assert flags.startswith("-s -w ")
    fields = ["gitVersion=v1.36.3", "gitMajor=1", "gitMinor=36", "gitTreeState=clean"]
    for field in (*fields, f"gitCommit={'0' * 40}", "buildDate=1970-01-01T00:00:00Z"):
        assert f"-X k8s.io/component-base/version.{field}" in flags
    assert arguments[-1] == "tool"


def test_progress_and_durations_are_told(bench: Bench) -> None:
    bench.build()
    assert {"text": "etcd: example/pkg/compiled", "step": ""} in bench.reporter.of("progress")
    assert [phase["name"] for phase in bench.reporter.of("phase")] == [
        "packages",
        *(f"build {module}" for module in (*origin.MODULES, "pause")),
        "images",
    ]


def test_two_builds_give_the_same_digest_and_the_second_is_the_first(bench: Bench) -> None:
    first = bench.build()
    assert bench.build() == first
    assert len(bench.calls()) == len(origin.MODULES) + 1
    (first.root / "index.json").unlink()
    assert bench.build().digest == first.digest


def test_a_broken_bundle_is_made_again_and_that_is_said(bench: Bench) -> None:
    bundle = bench.build()
    kubelet = bundle.root / "binaries/kubelet"
    good = kubelet.read_bytes()
    kubelet.write_bytes(b"?" * len(good))
    assert bench.build() == bundle
    assert kubelet.read_bytes() == good
    (warning,) = bench.reporter.of("warn")
    assert "binaries/kubelet" in warning["text"]
    assert "made again" in warning["text"]


def test_a_failed_build_leaves_nothing_and_shows_the_compiler(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUB_FAILS", "coredns")
    with pytest.raises(ToolFailed) as error:
        bench.build()
    assert "undefined: Cluster" in error.value.details
    assert bench.left() == set()
    monkeypatch.delenv("STUB_FAILS")
    bench.build()


def test_ctrl_c_leaves_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(text: str, step: str = "") -> None:
        if text.startswith("coredns"):
            raise KeyboardInterrupt

    monkeypatch.setattr(bench.reporter, "progress", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bench.build()
    assert bench.left() == set()


def test_what_a_killed_build_left_is_removed(bench: Bench) -> None:
    stale = bench.root / "cache/bundles" / f".{bench.artifacts().key}.new" / "work"
    stale.mkdir(parents=True)
    (stale / "half").touch()
    root = bench.build().root
    assert bench.left() == {root.name}
    assert not list(root.rglob("half"))


def test_images_that_are_not_built_here_are_refused(bench: Bench) -> None:
    bench.say_images([*IMAGES, "registry.example/kube-dns:1"])
    with pytest.raises(LabError, match="kube-dns"):
        bench.build()
    assert bench.left() == set()


def test_without_go_the_doctor_is_named(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    (bench.bin / "go").unlink()
    monkeypatch.setenv("PATH", str(bench.bin))
    with pytest.raises(MissingTool) as error:
        bench.build()
    assert error.value.hint == "kubelab doctor --fix"


def test_the_mirror_is_that_of_the_debian_release_itself(bench: Bench) -> None:
    assert debian.debian_sources("s")[:2] == [
        "deb mirror:/debian s main",
        "deb mirror:/debian s-updates main",
    ]


def test_security_fixes_come_from_where_the_host_gets_its_own(bench: Bench) -> None:
    bench.stub("apt-get", 'print("Debian|main|x|mirror:/x\\nDebian-Security|main|x-security|mirror:/fixes")')
    assert debian.debian_sources("s")[2:] == ["deb mirror:/fixes s-security main"]


def test_a_host_without_debian_leaves_the_choice_to_mmdebstrap(bench: Bench) -> None:
    bench.stub("apt-get", 'print("Vendor|main|x|mirror:/x")')
    assert debian.debian_sources("s") == []
