from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from provision.artifacts.bundle import Entry, entry_of
from provision.artifacts.images.archive import ImageConfig, Layer, minimal_root, write_image
from provision.artifacts.images.recipes import IMAGES, wanted_file
from provision.artifacts.release import etcd_tools
from provision.report.base import RecordingReporter

REF = "registry.example/tool:v1"


def archive(path: Path, members: list[tarfile.TarInfo], content: bytes = b"x") -> Path:
    with tarfile.open(path, "w") as tar:
        for member in members:
            if member.isreg():
                member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, target, mode
    info.mtime, info.uid, info.uname = 1_700_000_000, 1000, "someone"
    return info


def listing(layer: Layer) -> dict[str, tarfile.TarInfo]:
    out = io.BytesIO()
    layer.write(out)
    out.seek(0)
    with tarfile.open(fileobj=out) as tar:
        members = tar.getmembers()
    names = [info.name for info in members]
    assert names == sorted(set(names))
    return {info.name: info for info in members}


def read_image(path: Path) -> tuple[dict[str, object], dict[str, object], bytes]:
    with tarfile.open(path) as tar:
        files = {info.name: tar.extractfile(info) for info in tar}
        contents = {name: file.read() for name, file in files.items() if file is not None}
    (manifest,) = json.loads(contents["manifest.json"])
    return manifest, json.loads(contents[manifest["Config"]]), contents[manifest["Layers"][0]]


def test_an_image_names_its_parts_by_their_digests(tmp_path: Path) -> None:
    layer = minimal_root()
    layer.add("/usr/local/bin/tool", b"#!", mode=0o755)
    image = tmp_path / "tool.tar"
    write_image(image, REF, layer, ImageConfig(("/usr/local/bin/tool",), ("--help",)))
    manifest, config, data = read_image(image)
    assert manifest["RepoTags"] == [REF]
    assert config["rootfs"] == {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(data).hexdigest()}"]}
    assert (config["architecture"], config["os"]) == ("amd64", "linux")
    runtime = config["config"]
    assert isinstance(runtime, dict)
    assert runtime["Entrypoint"] == ["/usr/local/bin/tool"]
    assert runtime["Cmd"] == ["--help"]
    assert any(variable.startswith("PATH=/usr/local/sbin:") for variable in runtime["Env"])
    assert list(tmp_path.iterdir()) == [image]


def etcd(root: Path, *programs: str) -> Entry:
    """Put an image of etcd with these programs into the bundle at `root`."""
    layer = minimal_root()
    for path in programs:
        layer.add(path, path.encode(), mode=0o755)
    (root / "images").mkdir()
    write_image(root / "images/etcd.tar", REF, layer, ImageConfig())
    return entry_of(root, "images/etcd.tar", "image", ref=REF, version="3.6.8-0")


def test_etcds_tools_are_copied_out_of_its_image(tmp_path: Path) -> None:
    names = ("etcd", "etcdctl", "etcdutl")
    image = etcd(tmp_path, *(f"/usr/local/bin/{name}" for name in names), "/old/etcdctl")
    report = RecordingReporter()
    found = etcd_tools.add(tmp_path, [image], report)
    assert {(entry.path, entry.kind, entry.version) for entry in found} == {
        ("binaries/etcdctl", "binary", "3.6.8-0"),
        ("binaries/etcdutl", "binary", "3.6.8-0"),
    }
    assert (tmp_path / "binaries/etcdctl").read_text() == "/usr/local/bin/etcdctl"
    assert (tmp_path / "binaries/etcdctl").stat().st_mode & 0o777 == 0o755
    assert report.events == []


def test_an_image_of_etcd_without_its_tools_is_told(tmp_path: Path) -> None:
    image = etcd(tmp_path, "/usr/local/bin/etcd", "/usr/local/bin/etcdctl")
    report = RecordingReporter()
    assert [entry.name for entry in etcd_tools.add(tmp_path, [image], report)] == ["etcdctl"]
    (told,) = report.of("info")
    assert REF in told["text"]


def test_an_image_without_an_entrypoint_has_none(tmp_path: Path) -> None:
    write_image(tmp_path / "i.tar", REF, minimal_root(), ImageConfig())
    runtime = read_image(tmp_path / "i.tar")[1]["config"]
    assert isinstance(runtime, dict)
    assert runtime.keys() == {"Env", "WorkingDir"}


def test_what_is_started_by_arguments_alone_has_an_entrypoint() -> None:
    assert IMAGES["coredns"].config.entrypoint == ("/coredns",)
    assert IMAGES["pause"].config.entrypoint == ("/pause",)


def test_the_same_files_make_the_same_bytes(tmp_path: Path) -> None:
    program = tmp_path / "program"
    digests = set()
    for stamp, order in ((1, ("/a/one", "/b/two")), (1_700_000_000, ("/b/two", "/a/one"))):
        program.write_bytes(b"program")
        program.chmod(0o700 if stamp == 1 else 0o777)
        os.utime(program, (stamp, stamp))
        layer = minimal_root()
        for path in order:
            layer.add(path, program, mode=0o755)
        write_image(tmp_path / "image.tar", REF, layer, ImageConfig())
        digests.add(hashlib.sha256((tmp_path / "image.tar").read_bytes()).hexdigest())
    assert len(digests) == 1


def test_a_layer_is_roots_and_without_dates_and_has_every_folder(tmp_path: Path) -> None:
    layer = Layer()
    layer.unpack(archive(tmp_path / "p.tar", [member("./usr/sbin/nft", mode=0o755)]), lambda _: True)
    layer.link("/bin/sh", "/bin/busybox")
    found = listing(layer)
    assert found.keys() == {"bin", "bin/sh", "sbin", "usr", "usr/sbin", "usr/sbin/nft"}
    assert {(info.uid, info.gid, info.mtime, info.uname) for info in found.values()} == {(0, 0, 0, "")}
    assert found["usr"].isdir()
    assert found["usr/sbin/nft"].mode == 0o755
    assert found["bin/sh"].linkname == "/bin/busybox"


def test_packages_get_the_links_of_a_merged_usr(tmp_path: Path) -> None:
    members = [
        member("./usr", tarfile.DIRTYPE, mode=0o755),
        member("./usr/lib64", tarfile.DIRTYPE, mode=0o755),
        member("./usr/lib64/ld.so"),
        member("./lib", tarfile.DIRTYPE, mode=0o755),
        member("./lib/x86_64-linux-gnu", tarfile.DIRTYPE, mode=0o755),
        member("./lib/x86_64-linux-gnu/libc.so"),
    ]
    layer = Layer()
    layer.unpack(archive(tmp_path / "p.tar", members), lambda _: True)
    found = listing(layer)
    assert (found["lib64"].issym(), found["lib64"].linkname) == (True, "usr/lib64")
    assert found["usr/lib/x86_64-linux-gnu/libc.so"].isreg()
    assert not any(name.startswith("lib/") for name in found)


def test_hard_links_keep_their_bytes_and_devices_are_left_out(tmp_path: Path) -> None:
    members = [
        member("./usr/bin/one"),
        member("./usr/bin/two", tarfile.LNKTYPE, "./usr/bin/one"),
        member("./usr/bin/null", tarfile.CHRTYPE),
    ]
    layer = Layer()
    layer.unpack(archive(tmp_path / "p.tar", members, b"program"), lambda _: True)
    assert layer.content("/usr/bin/two") == b"program"
    assert "usr/bin/null" not in listing(layer)


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("usr/sbin/nft", True),
        ("usr/share/doc/nftables/copyright", True),
        ("usr/share/doc/nftables/changelog.gz", False),
        ("etc/resolv.conf", False),
        ("etc/apt/sources.list", False),
        ("dev/null", False),
        ("var", False),
        ("variant", True),
    ],
)
def test_images_carry_programs_and_licences_alone(path: str, wanted: bool) -> None:
    assert wanted_file(path) is wanted
